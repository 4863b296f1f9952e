"""Rules on requests, limits and cost."""
