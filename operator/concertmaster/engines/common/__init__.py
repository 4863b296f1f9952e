"""Shared by all engines: reading manifests and names, label selectors, ordering of steps, executions from pods."""
