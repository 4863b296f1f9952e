"""A set of awkward workflows, run on the real controllers and compared with what the engines themselves say of each run."""
