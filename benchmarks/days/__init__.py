"""Memory and CPU whose needs change from day to day: what recommended requests leave to the runs of the days to come."""
