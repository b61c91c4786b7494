"""What can be said of embeddings: projections, neighbours, retrieval, verification. Numpy only."""
