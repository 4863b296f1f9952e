"""How the methods do on families nobody tuned them to: constants chosen on all families but one, scored on that one."""
