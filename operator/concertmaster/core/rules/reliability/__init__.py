"""Rules on failures, timeouts and degradation."""
