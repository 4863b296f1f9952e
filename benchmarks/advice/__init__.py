"""Planted problems and healthy workflows in a simulation of its own, and the quality of the recommendations for
them."""
