"""How right the methods are on recorded data: adapters between the product and the scorers, and what they score."""
