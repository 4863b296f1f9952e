"""``make chaos``: what hostile objects, noisy neighbours and broken metrics stores do to an operator, with real parts."""
