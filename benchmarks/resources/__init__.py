"""Requests, limits, GPUs, disks and volumes under manifests that change: what is recommended, and what it does to later
runs."""
