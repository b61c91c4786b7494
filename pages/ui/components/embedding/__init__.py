"""The embedding view: its JavaScript, and the pictures it shows."""
