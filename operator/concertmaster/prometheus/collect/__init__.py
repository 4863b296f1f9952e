"""Collection: the queries for namespaces and spans, and their complete results."""
