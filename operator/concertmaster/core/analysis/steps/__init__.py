"""The steps of a workflow over its runs."""
