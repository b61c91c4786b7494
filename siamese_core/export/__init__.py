"""What is taken along or drawn: figures, tables, scripts, reports."""
