"""Engines known by the labels of their pods alone: no object of theirs is read, and no line of YAML per workflow needed."""
