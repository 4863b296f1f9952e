"""Many workflows as the cluster describes them: rows and sums, read from statuses of profiles and changes."""
