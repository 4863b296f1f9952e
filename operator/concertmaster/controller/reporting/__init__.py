"""Report: statuses and Events written, the operator's own telemetry, and details on request."""
