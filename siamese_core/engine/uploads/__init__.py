"""Images that come from outside: uploads, downloads, the decoder."""
