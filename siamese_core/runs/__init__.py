"""A run, a model and a film on disk."""
