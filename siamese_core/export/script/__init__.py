"""A run as a PyTorch script that stands alone, and losses as code to copy."""
