"""The command-line program: one module a command."""
