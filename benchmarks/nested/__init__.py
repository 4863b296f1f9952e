"""Performance of the methods on families they were not tuned on: constants chosen on all families but one, scored on
that one."""
