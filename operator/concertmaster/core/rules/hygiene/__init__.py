"""Rules on the quality of definitions and data."""
