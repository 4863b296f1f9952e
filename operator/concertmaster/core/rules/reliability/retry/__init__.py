"""How often steps failed and were tried again, and how many retries they need."""
