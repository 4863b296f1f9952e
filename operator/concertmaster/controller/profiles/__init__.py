"""Analyze and recommend: which profiles are due in a cycle, and what their status should say."""
