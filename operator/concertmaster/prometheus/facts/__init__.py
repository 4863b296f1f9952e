"""From answers of a metrics source to facts: one row per container of a pod, and the file that carries them."""
