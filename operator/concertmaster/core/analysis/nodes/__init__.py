"""Which nodes are slow for a workflow, and what they add to its runs."""
