"""What a workflow costs by component, now and after its recommendations."""
