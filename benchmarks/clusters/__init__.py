"""Many workflows on one cluster of limited capacity: what is recommended on scheduling, and what it changes there."""
