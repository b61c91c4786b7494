"""A network that learns: batches, objective, steps. Imports torch."""
