"""Runs in progress: when they will end, and whether they will miss their deadline."""
