"""The watches of a process, and whether what they bring is complete."""
