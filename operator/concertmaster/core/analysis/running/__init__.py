"""Runs in progress: when they will end, and whether that is too late."""
