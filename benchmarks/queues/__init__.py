"""Jobs in queues of the real Kueue: what is said of their runs against the conditions of their Workloads."""
