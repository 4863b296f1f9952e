"""Rules on the duration of runs."""
