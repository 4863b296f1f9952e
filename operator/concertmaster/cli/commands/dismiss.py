"""``concertmaster dismiss``: decide against recommendations, with a reason and for a time."""

from __future__ import annotations

import time

import click

from concertmaster.cli import cluster_options, dismissals, policies, profiles, selection
from concertmaster.cli.documents import say
from concertmaster.cli.errors import CallError, UserError
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Pricing
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.text import count
from concertmaster.kube.client import KubeClient
from concertmaster.report.workflows.fields import recommendations


@click.command("dismiss")
@click.argument("profile", required=False, shell_complete=cluster_options.profile_names)
@click.argument("recommendation", required=False, shell_complete=cluster_options.recommendation_ids)
@click.option("-r", "--reason", help="Why, for colleagues; one line.")
@click.option("--for", "span", help="For how long, such as 30d. Default: until it changes materially.")
@click.option("--until", help="Until when, such as 2027-01-31 or 2027-01-31T00:00:00Z.")
@click.option(
    "--all", "every", is_flag=True, help="All active recommendations of the profiles selected by -n, -A and -l."
)
@click.option("--below", metavar="AMOUNT", help="Those worth less than this a month on the scale of top, such as 1usd.")
@click.option("--undo", is_flag=True, help="Remove the dismissal.")
@click.option("--print", "only_print", is_flag=True, help="Print what to commit, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="With --all or --below: do not ask.")
@cluster_options.many
def command(
    profile: str | None,
    recommendation: str | None,
    reason: str | None,
    span: str | None,
    until: str | None,
    every: bool,
    below: str | None,
    undo: bool,
    only_print: bool,
    yes: bool,
    namespace: str | None,
    all_namespaces: bool,
    selector: str | None,
    cluster: cluster_options.Cluster,
) -> None:
    """Dismiss RECOMMENDATION of a workflow, or many at once with --all or --below.

    PROFILE is the name of a WorkflowProfile or of its workflow, or the latter as KIND/NAME (wftmpl/ingest-orders).
    """
    bulk = every or below is not None
    if bulk and (profile or undo):
        raise CallError("--all and --below select profiles by -n, -A and -l; give neither PROFILE nor --undo")
    if not bulk and (profile is None or recommendation is None):
        raise CallError("name PROFILE and RECOMMENDATION, or select many with --all or --below AMOUNT")
    if not bulk and (all_namespaces or selector):
        raise CallError("-A and -l select for --all and --below only")
    words = {} if undo else _decision(reason, span, until)
    most = selection.amount(below)
    client, place = cluster.connect(), namespace or cluster.namespace
    if not bulk:
        assert profile is not None
        assert recommendation is not None
        if undo:
            dismissals.withdraw(client, profiles.read(client, place, profile), recommendation)
            say(f"{recommendation} of {place}/{profile} is no longer dismissed")
            return
        _one(client, place, profile, recommendation, words, only_print=only_print)
        return
    selected = list(profiles.each(client, None if all_namespaces else place, selector))
    scale = Pricing() if most is None else policies.scale_of_below(client)
    items = selection.chosen(selected, most, scale)
    if not items:
        say("no active recommendation is selected")
        return
    if not yes and not only_print:
        for item in items:
            say(f"{item}: {item.action}")
        selection.confirm(f"Dismiss {count(len(items), 'recommendation')}?")

    def dismiss(item: selection.Chosen) -> None:
        meta = item.profile["metadata"]
        _one(client, meta["namespace"], meta["name"], item.id, words, only_print=only_print)

    selection.decide_each(items, dismiss)


def _decision(reason: str | None, span: str | None, until: str | None) -> dict[str, str]:
    if not reason or not reason.strip():
        raise CallError("give a reason, for colleagues: --reason 'peak at month end'")
    decision = {"reason": " ".join(reason.split())}
    if (end := dismissals.expiration(span, until, time.time())) is not None:
        decision["expirationTime"] = end
    return decision


def _one(
    client: KubeClient, place: str, profile: str, recommendation: str, words: dict[str, str], *, only_print: bool
) -> None:
    """Dismiss one recommendation, or print what to commit where somebody else owns the profile. The profile is read
    anew: an earlier dismissal of the same call is in it."""
    raw = profiles.read(client, place, profile)
    known = profiles.entry(raw, recommendation)
    row = known is None and recommendation.startswith(f"{RuleName.RIGHT_SIZE}.")
    if row:  # one step of a table, of which each object has one; Ready names a step that does not exist
        known = next((r for r in recommendations(raw) if rule_of(r["id"]) == RuleName.RIGHT_SIZE), None)
    if known is None:
        ids = ", ".join(profiles.ids(raw)) or "none"
        raise UserError(f"{place}/{profile} has no recommendation {recommendation}; it has: {ids}")
    decision = {"reason": words["reason"], "recommendation": recommendation, **words}
    dismissals.refuse_same(known, decision)
    holders = dismissals.holders(raw)
    if only_print or holders:
        say(dismissals.to_commit(raw, decision, holders))
        return
    dismissals.write(client, raw, decision)
    end = words.get("expirationTime")
    lasting = f" until {end}" if end is not None else "" if row else " until it changes materially"
    say(f"{recommendation} of {place}/{profile} is dismissed{lasting}; --undo removes the dismissal")
