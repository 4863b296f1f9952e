"""Planted problems in graphs of any shape, by laws that share nothing with those of ``benchmarks.advice``."""
