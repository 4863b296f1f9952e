"""Several processes of one operator: one works while others stand by, or each looks after its share of the namespaces."""
