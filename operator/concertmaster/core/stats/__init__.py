"""Robust statistics for small, skewed samples, used by all parts of the analysis.

Durations and peaks of workflow steps are right-skewed, few, and have outliers, so medians, logs, ranks and exact
small-sample quantiles are used instead of means and normal tables.
"""
