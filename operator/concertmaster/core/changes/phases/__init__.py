"""Transitions of a change by phase: pure functions from observations to a Transition."""
