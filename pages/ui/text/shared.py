"""The words that several pages share."""

UNDO = "Undo"
