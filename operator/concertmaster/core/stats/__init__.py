"""Robust statistics on small, skewed samples: what every other part of the analysis counts with.

Durations and peaks of workflow steps are right-skewed, have outliers and come in handfuls, so medians, logs, ranks and
exact small-sample quantiles are used instead of means and normal tables.
"""
