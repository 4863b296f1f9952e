"""The demo: two weeks of history in a real Prometheus, and the operator running against a real API server."""
