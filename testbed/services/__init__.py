"""Processes of the bed: the control plane, the engines' controllers, Prometheus, PostgreSQL."""
