"""Missing, stale, partial and distorted data, and their effect on recommendations."""
