"""Daily aggregates that outlive pruned runs, and the trends computed from them."""
