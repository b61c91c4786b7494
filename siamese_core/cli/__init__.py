"""The command line: a subcommand a function."""
