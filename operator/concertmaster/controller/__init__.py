"""The operator process: what is watched, the one loop over it, and what it tells about itself."""
