"""What executions, runs and steps cost, and what of that is unused."""
