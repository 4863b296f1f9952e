"""When workflows start by their schedules, and when the change windows of a policy are open."""
