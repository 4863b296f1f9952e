"""Pure analysis: no I/O, no clock, no global state. Time is always a parameter (unix seconds)."""
