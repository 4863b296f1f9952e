"""Single runs and comparisons of two: as models for the JSON API and the pages, and as text."""
