"""Planted problems and healthy workflows in a world of its own, and how well the recommendations answer them."""
