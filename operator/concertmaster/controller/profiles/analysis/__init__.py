"""The analysis of one profile: its input, how it is made, and what is kept of it beside the status."""
