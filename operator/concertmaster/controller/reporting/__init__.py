"""Report: statuses and Events written, what the operator tells about itself, and details on request."""
