"""Discover: targets, their definitions, the policies that select them, and the profiles that follow."""
