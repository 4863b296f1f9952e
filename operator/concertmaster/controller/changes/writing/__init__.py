"""Writes changes and their targets: the journal around every write, the status documents, and counts of what was done."""
