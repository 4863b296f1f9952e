"""Commands that look into runs, and over many workflows at once."""
