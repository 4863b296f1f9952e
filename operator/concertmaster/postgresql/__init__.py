"""Connections to PostgreSQL, for the history and for archives of engines. The only importer of psycopg."""
