"""PostgreSQL under the store. Its driver is an optional part of the installation."""

from concertmaster.history.postgresql.engine import PostgresEngine

__all__ = ["PostgresEngine"]
