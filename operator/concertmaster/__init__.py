"""Concertmaster: a Kubernetes operator that measures, explains and optimises workflows."""

__all__ = ["__version__"]

__version__ = "0.1.0"
