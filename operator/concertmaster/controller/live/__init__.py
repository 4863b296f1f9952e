"""Runs as the engines' own objects show them: finished ones into the history, and those in progress."""
