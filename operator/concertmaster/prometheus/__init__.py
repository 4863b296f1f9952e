"""Facts about pods from a metrics source: bulk queries, checked for completeness, returned in compact form."""
