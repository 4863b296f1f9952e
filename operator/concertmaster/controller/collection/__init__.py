"""Collect: metrics sources, live runs and user queries into the history."""
