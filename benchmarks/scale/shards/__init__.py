"""Several shards of the operator with a large fleet, and the loss of one."""
