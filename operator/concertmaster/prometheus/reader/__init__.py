"""Readings of the past in a process of their own, so that answers are decoded beside the operator's own work."""
