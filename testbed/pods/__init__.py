"""What stands in for the kubelet: simulated pods, the exporter of their metrics, and real processes in control groups."""
