"""Campaigns against operators that change workflows: leases, kills, admission, and how soon they stop."""
