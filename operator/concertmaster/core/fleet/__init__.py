"""Across workflows: what rules may know of the others, and the demand of the next days."""
