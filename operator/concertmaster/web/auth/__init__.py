"""Who may read the pages: whoever has a secret on the loopback address, or users with bearer tokens in the cluster."""
