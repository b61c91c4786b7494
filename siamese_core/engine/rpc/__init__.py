"""Questions and answers between the server and its child processes."""
