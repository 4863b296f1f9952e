"""The status document of a WorkflowProfile: what it says, what it remembers, and what gives way to its size."""
