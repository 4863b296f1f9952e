"""Fields of templates and Jobs that the rules of this room edit, by what they limit."""
