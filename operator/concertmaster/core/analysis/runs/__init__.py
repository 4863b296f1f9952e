"""Single runs: where the time of one went, and why another took longer."""
