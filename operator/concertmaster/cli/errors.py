"""The error every command turns a user's mistake or a failed service into."""

from __future__ import annotations

from concertmaster.cli.documents import repeated


class UserError(Exception):
    """One message for stderr: what is wrong, where, and what to do. The command exits with ``status``."""

    status = 1

    def __init__(self, message: str) -> None:
        super().__init__(repeated(message))


class CallError(UserError):
    """The same of a call that can never succeed: options that exclude each other, or a value without a meaning."""

    status = 2
