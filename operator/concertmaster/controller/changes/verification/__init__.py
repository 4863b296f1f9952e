"""Whether a change did what was promised: its runs are read here, and compared in the core."""
