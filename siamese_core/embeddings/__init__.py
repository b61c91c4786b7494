"""What embeddings show: projections, neighbours, retrieval, verification. Numpy only."""
