"""Network calls: one retry loop with jitter and a deadline, whichever client makes the call."""
