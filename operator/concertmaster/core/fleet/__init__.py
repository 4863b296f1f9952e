"""Analysis across workflows: comparison, ranking, and demand forecast."""
