"""HTML: one environment for the report and the dashboard. Everything from a cluster is escaped; nothing is loaded from
elsewhere."""
