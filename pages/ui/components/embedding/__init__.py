"""The embedding view: its JavaScript, and the thumbnails it shows."""
