"""Metrics of pods, nodes, volumes and GPUs as their exporters would write them, live or as OpenMetrics for the past."""
