"""A workflow's life over weeks: changes verified at any hour and weekday, and what is published day by day."""
