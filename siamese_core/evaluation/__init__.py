"""A trained network at work: inference, evaluation, comparison. Imports torch."""
