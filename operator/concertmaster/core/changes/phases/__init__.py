"""What becomes of a change, phase by phase: pure functions from what is known to a Transition."""
