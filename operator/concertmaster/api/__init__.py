"""The contract with the people who write YAML: resources, their scalars and schemas, conditions, policy resolution.

Everything here is pure: models come from plain mappings and go back to plain mappings, time is passed in, and the CRDs
are computed from the models, so that what the API server accepts and what the operator understands cannot drift apart.
"""
