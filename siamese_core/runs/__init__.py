"""Runs, models and films on disk."""
