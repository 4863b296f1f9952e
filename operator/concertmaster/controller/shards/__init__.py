"""Several processes of one operator, each looking after its share of the namespaces."""
