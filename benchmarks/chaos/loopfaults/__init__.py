"""Campaigns against operators that apply changes: leases, kills, admission, and the time until they stop."""
