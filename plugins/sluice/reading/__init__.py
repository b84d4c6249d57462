"""Bytes into records, as the registry declares them."""
