"""Collection: which queries are asked for which namespaces and spans, and what came back whole."""
