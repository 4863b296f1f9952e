"""Why a message did not arrive."""

from __future__ import annotations

import ssl


class Undeliverable(Exception):
    """A receiver that cannot be reached or refuses. The message names no URL. ``again``: another try may help."""

    def __init__(self, why: str, *, again: bool, after: float = 0.0) -> None:
        super().__init__(why)
        self.again = again
        self.after = after


def unreachable(what: str, error: Exception, seconds: float) -> Undeliverable:
    """``what`` could not be spoken to within ``seconds``, in words that name neither host nor URL."""
    reason = getattr(error, "reason", error)  # of urllib's errors
    if isinstance(reason, TimeoutError):
        return Undeliverable(f"{what} did not answer within {seconds:g} s", again=True)
    names_host = isinstance(reason, ssl.SSLCertVerificationError)
    why = None if names_host else getattr(reason, "strerror", None)
    return Undeliverable(f"{what} cannot be reached ({why or type(reason).__name__})", again=True)
