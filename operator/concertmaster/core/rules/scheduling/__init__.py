"""Rules on scheduling: limits, queues, schedules and demand."""
