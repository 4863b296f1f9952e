"""Finished runs from the archives of engines, for runs whose objects are gone."""
