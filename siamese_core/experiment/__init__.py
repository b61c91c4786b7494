"""An experiment, its table of fields, and what follows from them without training."""
