"""What engines share: reading manifests and names, label selectors, order of steps, executions from pods."""
