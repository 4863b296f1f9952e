"""Tekton Pipelines."""
