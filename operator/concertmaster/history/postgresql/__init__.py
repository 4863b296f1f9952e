"""PostgreSQL under the store. The only importer of psycopg, which is an optional part of the installation."""

from concertmaster.history.postgresql.engine import PostgresEngine

__all__ = ["PostgresEngine"]
