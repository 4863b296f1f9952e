"""Change: applies what the core decides about WorkflowChanges, with the journal around every write."""
