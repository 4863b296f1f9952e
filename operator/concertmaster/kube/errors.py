"""Errors of the Kubernetes API: one class for each case that callers treat differently.

The official client has one exception for every answer of the server and lets transport errors of two other libraries
through. A loop that must isolate faults needs to tell "gone", "not allowed", "come back later" and "my own mistake"
apart, and a person needs one sentence with what, where and what to do.
"""

from __future__ import annotations

import re


class KubeError(Exception):
    """A request to the Kubernetes API that did not succeed.

    ``status`` is the HTTP code, 0 when none was received; ``retry_after`` the seconds the server asked to wait;
    ``continue_token`` what it offered to continue with a list it could not continue as asked.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.continue_token = continue_token


class NoConnection(KubeError):
    """No usable kubeconfig and no service account: the operator cannot even try."""


class Unreachable(KubeError):
    """The server did not answer: refused, reset, timed out, or its certificate was not accepted."""

    retryable = True


class Busy(KubeError):
    """The server asks to come back later (429) or failed internally (5xx)."""

    retryable = True


class Unauthorized(KubeError):
    """The credentials were not accepted (401); a rotated token is read again before this is raised."""


class Forbidden(KubeError):
    """The service account lacks the right (403)."""


class Undecided(Busy):
    """An admission webhook that must decide about the object could not be called, or failed (500): nothing was stored."""


class NotAdmitted(Forbidden):
    """The namespace takes no further object of this kind (403): a quota is used up, or the namespace is being deleted. No
    right is missing."""


class Denied(Forbidden):
    """An admission webhook or policy refuses this object, usually with 403; others may pass, and no right is missing."""


class NotFound(KubeError):
    """No such object, or no such kind: its CustomResourceDefinition is not installed (404)."""


class Conflict(KubeError):
    """The object exists already, or is no longer the one that was meant (409)."""


class Expired(KubeError):
    """A list could not be continued because the server forgot its place (410)."""


class Rejected(KubeError):
    """The server rejects the content (400, 413, 415, 422): sending it again would not help."""


class Stopped(BaseException):
    """The operator is stopping; the request was not made or not repeated. Like ``asyncio.CancelledError``, it is no fault
    that a handler of faults may take for one: it ends the work, whatever that is."""


class NotLeader(KubeError):
    """Another operator may have taken over, so nothing was written."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    429: Busy,
}

_ADMISSION = re.compile(r"\bdenied (the )?request\b")  # by a webhook, by a ValidatingAdmissionPolicy
_WEBHOOK_FAILED = re.compile(r"\bfailed calling webhook\b")
_NOT_ADMITTED = re.compile(r"\bexceeded quota\b|\bbecause it is being terminated\b")
_MAX_MESSAGE = 500


def by_admission(error: KubeError) -> bool:
    """Whether a webhook or an admission policy denied the request, with whatever code: a webhook that sets none answers 400,
    a ValidatingAdmissionPolicy 422."""
    return _ADMISSION.search(str(error)) is not None


def from_status(
    status: int,
    what: str,
    detail: str,
    reason: str,
    *,
    retry_after: float | None,
    continue_token: str,
) -> KubeError:
    """The exception for an answer with HTTP code ``status``; ``what`` names the request, ``detail`` is the server's."""
    kind = _BY_STATUS.get(status) or (Busy if status >= 500 else Rejected)
    if kind is not Rejected and _ADMISSION.search(detail):
        kind = Denied  # the code is the webhook's: 404 says nothing of the object, 500 nothing of the server
    elif kind is Busy and _WEBHOOK_FAILED.search(detail):
        kind = Undecided
    elif kind is Forbidden and _NOT_ADMITTED.search(detail):
        kind = NotAdmitted
    text = detail.strip() or reason or f"HTTP {status}"
    if len(text) > _MAX_MESSAGE:
        text = text[: _MAX_MESSAGE - 1] + "…"
    return kind(f"{what}: {text}", status=status, reason=reason, retry_after=retry_after, continue_token=continue_token)
