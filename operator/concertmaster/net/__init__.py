"""Networking of all parts: retries with jitter and a deadline, the HTTP server, and what a container may use of its node."""
