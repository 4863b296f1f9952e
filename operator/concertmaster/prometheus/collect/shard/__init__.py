"""One set of namespaces over one span: which pods ended, and what they used."""
