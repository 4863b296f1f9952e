"""Step graphs declared in a WorkflowProfile, for engines without a package of their own."""
