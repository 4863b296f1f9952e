"""Daily rows: what stays of runs when they are pruned, and trends made of it."""
