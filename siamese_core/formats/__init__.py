"""Bytes from outside and to the outside."""
