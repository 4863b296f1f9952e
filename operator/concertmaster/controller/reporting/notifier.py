"""Which events reach which receivers: as the policy in force for a workflow says, and the operator's configuration allows.

Only Events that were posted about profiles are sent, so that the cluster shows everything that is notified, and once a
week the status of a policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.core import text
from concertmaster.core.model.conditions import ConditionType
from concertmaster.core.model.enums import NotifyEvent
from concertmaster.core.model.policy import NotifySettings
from concertmaster.core.units import DAY, HOUR, WEEK
from concertmaster.kube.events import Note
from concertmaster.notify.messages import Message
from concertmaster.notify.sender import Sender
from concertmaster.report.impact import counted
from concertmaster.settings import Receiver

EVENTS = {
    "Degraded": NotifyEvent.DEGRADED,
    "Missed": NotifyEvent.OBJECTIVE_MISSED,
    "RunLate": NotifyEvent.RUN_LATE,
    "ApprovalRequired": NotifyEvent.APPROVAL_REQUIRED,
    "ChangeApplied": NotifyEvent.APPLIED,
    "ChangeKept": NotifyEvent.KEPT,
    "ChangeRolledBack": NotifyEvent.ROLLED_BACK,
    "ChangeOrphaned": NotifyEvent.ORPHANED,
}
"""By the reason of the Event."""
_SUBJECT = re.compile(r"^run (\S+) |^(\S+): ")
_FRESH = (ConditionType.READY, ConditionType.METRICS_AVAILABLE)
_MONDAY_EIGHT = 4 * DAY + 8 * HOUR  # 1970-01-05 08:00 UTC


class Notifier:
    """``last`` and ``sent`` read and write when a policy's digest was sent (unix seconds)."""

    def __init__(
        self,
        receivers: Sequence[Receiver],
        sender: Sender,
        clock: Callable[[], float],
        *,
        last: Callable[[str], float | None],
        sent: Callable[[str, float], None],
    ) -> None:
        self._receivers = {r.name: r for r in receivers}
        self._sender = sender
        self._clock = clock
        self._last = last
        self._sent = sent
        self._routes: dict[str, tuple[NotifySettings, ...]] = {}

    def route(self, profiles: Sequence[ResolvedProfile], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Who is notified about which profile in this cycle, by the policies in force and the labels of namespaces."""
        self._routes = {}
        for profile in profiles:
            if profile.policy is None or not profile.policy.notify:
                continue
            labels = namespaces.get(profile.entry.namespace, {})
            allowed = tuple(n for n in profile.policy.notify if self._allows(n.receiver, labels))
            if allowed:
                self._routes[profile.entry.uid] = allowed

    def note(self, note: Note) -> None:
        """An Event about a profile is being posted."""
        event = EVENTS.get(note.reason)
        if event is None:
            return
        for target in self._routes.get(note.ref.uid, ()):
            if event in target.events:
                match = _SUBJECT.match(note.text)
                subject = next((g for g in match.groups() if g), "") if match is not None else ""
                message = Message(event, note.ref.namespace or "", note.ref.name, note.text, self._clock(), subject)
                self._sender.offer(target.receiver, message)

    def problems(self, view: PolicyView, namespaces: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
        """What is wrong with a policy's receivers, as sentences."""
        if view.policy is None:
            return ()
        labels = None if view.ref.namespace is None else namespaces.get(view.ref.namespace, {})
        problems = []
        for target in view.policy.spec.notify:
            receiver = self._receivers.get(target.receiver)
            known = ", ".join(sorted(self._receivers)) or "none"
            if receiver is None:
                problems.append(
                    f"notify: {target.receiver} is no receiver of the operator's configuration (it has: {known}); correct "
                    "the name or add the receiver to the configuration"
                )
            elif labels is not None and not receiver.namespace_selector.matches(labels):
                problems.append(
                    f"notify: namespace {view.ref.namespace} may not use receiver {target.receiver}: its labels do not "
                    "match namespaceSelector of the operator's configuration"
                )
        return tuple(problems)

    def digest(self, view: PolicyView, status: Mapping[str, Any], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Send the weekly digest of a policy where one is due: from Monday, 08:00 UTC, on."""
        if view.policy is None:
            return
        labels = None if view.ref.namespace is None else namespaces.get(view.ref.namespace, {})
        targets = [
            n.receiver
            for n in view.policy.spec.notify
            if NotifyEvent.WEEKLY_DIGEST in n.chosen
            and n.receiver in self._receivers
            and (labels is None or self._allows(n.receiver, labels))
        ]
        if not targets:
            return
        now = self._clock()
        due = now - (now - _MONDAY_EIGHT) % WEEK
        last = self._last(view.entry.uid)
        if last is not None and due <= last <= now:
            return
        self._sent(view.entry.uid, now)
        if last is None:
            return  # no report for the week yet
        summary, place = digest_text(status), view.ref.namespace or ""
        week = f"{int(due // DAY)}"
        for receiver in targets:
            self._sender.offer(receiver, Message(NotifyEvent.WEEKLY_DIGEST, place, view.entry.name, summary, now, week))

    def _allows(self, name: str, labels: Mapping[str, str]) -> bool:
        receiver = self._receivers.get(name)
        return receiver is not None and receiver.namespace_selector.matches(labels)


def digest_text(status: Mapping[str, Any]) -> str:
    """A policy's status as a few lines."""
    totals = status.get("totals") or {}
    profiles, recommended = status.get("matchedProfiles") or 0, totals.get("recommendations") or 0
    known = f"{text.count(recommended, 'open recommendation')} for {totals.get('workflows') or 0} of them"
    verified = text.count(status.get("changesInFlight") or 0, "change")
    lines = [
        f"{text.count(profiles, 'workflow')}, {known if totals else 'none analyzed yet'}; {verified} under verification."
    ]
    worth = [str(totals["moneyPerMonth"])] if totals.get("moneyPerMonth") else []
    for name, unit in (("runHoursPerMonth", "run-hour"), ("failedRunsPerMonth", "failed run")):
        worth += [counted(str(totals[name]), unit)] if totals.get(name) not in (None, "0") else []
    if worth:
        lines.append(f"Savings available per month: {', '.join(worth)}.")
    # Else figures of a source that has not answered for a week would be read as those of the week.
    lines += [
        f"{condition['type']} is False: {str(condition.get('message') or '').rstrip('.')}."
        for condition in status.get("conditions") or ()
        if condition.get("type") in _FRESH and condition.get("status") == "False"
    ]
    return "\n".join([*lines, *(f"- {line}" for line in list(status.get("top") or ())[:5])])
