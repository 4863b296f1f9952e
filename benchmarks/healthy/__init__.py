"""Healthy workflows of many kinds, by a law of their own, and the recommendations that are published for them all the
same."""
