"""What the metrics source knows about pods: asked for in bulk, checked for wholeness, handed over as compact facts."""
