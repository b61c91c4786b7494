"""The runs that last, on the server's side."""
