"""Collect: metrics sources and user queries into the history."""
