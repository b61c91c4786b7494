"""The parts of the Losses page."""
