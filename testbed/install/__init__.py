"""The pinned binaries: from Go modules or archives into the cache, each built once."""
