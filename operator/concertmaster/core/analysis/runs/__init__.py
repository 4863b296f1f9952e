"""Single runs: time split, comparison, starts and usage."""
