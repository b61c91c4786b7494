"""What is drawn or downloaded: figures, tables, scripts, reports."""
