"""``make chaos``: effects of hostile objects, noisy neighbours and broken metrics sources on an operator, with real
components."""
