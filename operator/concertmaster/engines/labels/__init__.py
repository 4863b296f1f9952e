"""Engines recognised by pod labels alone, without reading objects of theirs and without a declaration per workflow."""
