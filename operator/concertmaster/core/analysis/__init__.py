"""The analysis of one workflow."""
