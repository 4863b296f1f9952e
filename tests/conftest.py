"""Fixtures every tier may use: the test bed's cluster and Prometheus servers. Nothing starts before a test asks."""

pytest_plugins = ["testbed.pytest_plugin"]
