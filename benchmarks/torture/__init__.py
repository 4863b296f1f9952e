"""A set of difficult workflows, run on the real controllers and compared with the engines' own status of each run."""
