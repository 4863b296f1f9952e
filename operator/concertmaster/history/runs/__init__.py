"""Runs out of the history: read, kept between analyses, and what an analysis of them rests on."""
