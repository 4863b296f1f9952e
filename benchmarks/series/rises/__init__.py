"""Histories of workflows that become slower, in ways that are known: what ``degradation`` reports, dates, and keeps."""
