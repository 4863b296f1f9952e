"""Messages to people outside the cluster, by webhook. Where to is for the operator's configuration alone."""
