"""Changes through the whole loop: simulated campaigns, a moving cluster, and workflows on real parts."""
