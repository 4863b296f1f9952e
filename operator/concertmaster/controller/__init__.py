"""The operator process: what is watched, the one loop over it, and its own telemetry."""
