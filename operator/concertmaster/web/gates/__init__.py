"""The two doors of the pages: a secret on the loopback address, or bearer tokens in the cluster."""
