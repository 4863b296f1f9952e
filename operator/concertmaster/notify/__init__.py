"""Messages to people outside the cluster, by webhook or e-mail. Where to is for the operator's configuration alone."""
