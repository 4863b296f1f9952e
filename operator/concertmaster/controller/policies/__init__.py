"""What a cycle knows of each policy, and the status that says so."""
