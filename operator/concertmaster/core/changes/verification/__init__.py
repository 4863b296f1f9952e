"""Whether a change reached its aim, by the runs before and after it."""
