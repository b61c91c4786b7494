"""Requests and replies between the server and its child processes."""
