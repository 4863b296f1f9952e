"""Missing, stale, partial and distorted data: what becomes of the recommendations of complete histories."""
