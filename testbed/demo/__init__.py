"""The demonstration: two weeks of history on a real Prometheus, and the operator at work on a real API server."""
