"""Lifecycle of a recommendation: states, dismissal, implementation and its measured effect."""
