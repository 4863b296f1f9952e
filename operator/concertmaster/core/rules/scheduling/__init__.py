"""Rules on when and how many pods run: limits, queues, schedules and demand."""
