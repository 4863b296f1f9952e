"""What ``doctor`` says of the resources in a cluster: one line for each cause."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from click.testing import CliRunner

from concertmaster import settings
from concertmaster.cli import details, profiles
from concertmaster.cli.cluster_options import Cluster
from concertmaster.cli.commands import doctor
from concertmaster.cli.errors import UserError
from concertmaster.core.times import iso
from concertmaster.history import DatabaseAddress, ServerState, server_state
from concertmaster.history.postgresql.schema import MIGRATIONS, rights
from concertmaster.history.postgresql.session import history_session
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Unauthorized
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, OWN_KINDS, POLICIES, PROFILES
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus
from testbed.services.postgres import PostgresServer
from tests.support.argo_archive import ArchiveTables, workflow
from tests.support.controller.fakes import MemoryClient
from tests.support.history_places import Schema


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason}, do this"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    client = MemoryClient()
    monkeypatch.setattr(KubeClient, "connect", lambda *_, **__: client)
    return client


def test_it_asks_the_cluster_of_the_context(client: MemoryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(KubeClient, "connect", lambda *_, context=None: asked.append(context) or client)
    assert CliRunner().invoke(doctor.command, ["--context", "prod"]).exit_code == 0
    assert asked == ["prod"]


def examined(namespace: str | None = None) -> list[Diagnostic]:
    return list(doctor.resources(Cluster(None, None), namespace, details.place(None)))


def states(mark: DiagnosticStatus = DiagnosticStatus.WARN) -> list[Diagnostic]:
    return [check for check in examined() if check.mark is mark]


def test_a_source_that_is_down_is_one_line_for_all_profiles_and_policies(client: MemoryClient) -> None:
    down: list[Any] = [
        condition("Ready", "False", "Stale"),
        condition("MetricsAvailable", "False", "SourceUnreachable"),
    ]
    for number in range(20):
        client.put(PROFILES, "demo", f"etl-{number:02}", status={"conditions": down})
    client.put(POLICIES, "demo", "team", spec={"discover": [{}]}, status={"conditions": down[1:]})
    (line,) = states(DiagnosticStatus.FAIL)
    assert line.name == "OptimizationPolicy demo/team and 20 more"
    assert line.result == "MetricsAvailable is False (SourceUnreachable)"
    assert line.fix == "SourceUnreachable, do this"
    answer = CliRunner().invoke(doctor.command, [])
    assert answer.exit_code == 1
    assert "20 objects" in answer.output and "1 object\n" in answer.output
    assert "Not checked: the metrics source. Add --prometheus URL" in answer.output


def test_a_team_without_rights_on_cluster_policies_sees_the_conditions_of_its_namespace(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("TargetResolved", "False", "NotFound")]})
    forbidden = Forbidden("GET clusteroptimizationpolicies: forbidden", status=403)
    client.lists[CLUSTER_POLICIES.path(None)] = forbidden
    checks = examined("demo")
    assert [c.name for c in checks if c.mark is DiagnosticStatus.FAIL] == []
    assert [(c.name, c.result.partition(":")[0]) for c in checks if c.mark is DiagnosticStatus.WARN] == [
        ("clusteroptimizationpolicies", "not checked"),
        ("WorkflowProfile demo/a", "TargetResolved is False (NotFound)"),
    ]
    client.lists[PROFILES.path(None)] = forbidden
    everywhere = {c.name: c.fix for c in examined() if c.mark is DiagnosticStatus.FAIL}
    assert set(everywhere) == {"clusteroptimizationpolicies", "workflowprofiles"}
    assert "-n NAMESPACE" in everywhere["workflowprofiles"]


@pytest.mark.parametrize(
    "error",
    [
        Unauthorized("GET workflowprofiles: Unauthorized", status=401),
        Forbidden('GET workflowprofiles: User "system:anonymous" cannot list resource', status=403),
    ],
)
def test_whoever_is_not_logged_in_reads_so(client: MemoryClient, error: KubeError) -> None:
    """As with an expired token, and with a kubeconfig whose login command fails."""
    for resource in OWN_KINDS:
        client.lists[resource.path(None)] = error
    fixes = {c.fix for c in examined() if c.mark is DiagnosticStatus.FAIL}
    assert fixes == {"log in to the cluster again: kubectl auth whoami must show your name"}
    with pytest.raises(UserError, match="log in to the cluster again"):
        list(profiles.each(client, None))


def test_an_operator_that_is_gone_leaves_good_conditions_behind(client: MemoryClient) -> None:
    """`top` says "not up to date" and sends people here."""
    well = [condition("Ready", "True", "Analyzed"), condition("MetricsAvailable", "True", "Complete")]
    young = [condition("Ready", "False", "TooFewRuns"), well[1]]
    down = [condition("Ready", "False", "Stale"), condition("MetricsAvailable", "False", "SourceUnreachable")]
    now = datetime.now(UTC)
    for name, days, conditions in (("a", 3, well), ("b", 4, young), ("c", 1, well), ("d", 5, down)):
        until = now - timedelta(days=days)
        status = {"conditions": conditions, "dataUntil": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        client.put(PROFILES, "demo", name, status=status)
    gone, _ = states(DiagnosticStatus.FAIL)
    assert gone.name == "WorkflowProfile demo/a and 1 more"
    day = (now - timedelta(days=3)).strftime("%Y-%m-%d")
    assert gone.result.startswith(f"not brought up to date since {day}")
    assert "kubectl get pods -A -l app.kubernetes.io/part-of=concertmaster" in gone.fix


@pytest.mark.parametrize(
    ("refusal", "mark", "said", "fix"),
    [
        (None, DiagnosticStatus.OK, "Service concertmaster/concertmaster answers", ""),
        (
            KubeError("no endpoints available"),
            DiagnosticStatus.FAIL,
            "does not answer: no endpoints",
            "kubectl get pods -A",
        ),
        (Forbidden("no", status=403), DiagnosticStatus.WARN, "not checked: you have no right to reach it; ask for", ""),
        (
            NotFound('services "concertmaster" not found', status=404),
            DiagnosticStatus.WARN,
            "not checked: there is no Service concertmaster in namespace concertmaster; name it with --operator",
            "",
        ),
    ],
)
def test_the_operator_is_asked_whether_it_runs(
    client: MemoryClient,
    monkeypatch: pytest.MonkeyPatch,
    refusal: KubeError | None,
    mark: DiagnosticStatus,
    said: str,
    fix: str,
) -> None:
    """What it left behind says nothing of that for two days."""
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("Ready", "True", "Analyzed")]})

    def get(path: str, query: Any = None) -> dict[str, Any]:
        assert "/services/concertmaster:http/proxy/" in path
        if refusal is not None:
            raise refusal
        return {"recommendations": []}

    monkeypatch.setattr(client, "get", get)
    (check,) = [c for c in examined() if c.name == "operator"]
    assert check.mark is mark
    assert said in check.result and fix in check.fix


def test_a_query_of_a_users_own_prevents_nothing(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("MetricsAvailable", "False", "QueryInvalid")]})
    assert [line.result for line in states()] == ["MetricsAvailable is False (QueryInvalid)"]


def test_what_only_ready_says_is_not_hidden_by_another_condition(client: MemoryClient) -> None:
    down = condition("MetricsAvailable", "False", "SourceUnreachable")
    client.put(POLICIES, "demo", "team", status={"conditions": [condition("Ready", "False", "NoMatches"), down]})
    gone = [condition("Ready", "False", "NotFound"), condition("TargetResolved", "False", "NotFound")]
    client.put(PROFILES, "demo", "a", status={"conditions": gone})
    assert [line.result for line in states()] == ["Ready is False (NoMatches)", "TargetResolved is False (NotFound)"]


def test_a_change_that_nobody_rolls_back_any_more_is_named_while_it_is_in_force(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("Ready", "True", "Analyzed")]})
    orphan = [condition("Verified", "Unknown", "Pending"), condition("Orphaned", "True", "NotInJournal")]
    client.put(CHANGES, "demo", "lost", status={"phase": "Verifying", "conditions": orphan})
    client.put(CHANGES, "demo", "undone", status={"phase": "Conflict", "conditions": orphan})
    client.put(CHANGES, "demo", "kept", status={"phase": "Verifying", "conditions": orphan[:1]})
    (line,) = states()
    assert (line.name, line.result) == ("WorkflowChange demo/lost", "Orphaned is True (NotInJournal)")
    assert line.fix == "NotInJournal, do this"


def test_causes_are_listed_by_the_number_of_objects(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("Ready", "False", "TooFewRuns")]})
    for name in ("b", "c"):
        client.put(PROFILES, "demo", name, status={"conditions": [condition("TargetResolved", "False", "NotFound")]})
    client.put(PROFILES, "demo", "d")
    assert [(c.name, c.result) for c in states()] == [
        ("WorkflowProfile demo/d", "not processed by any operator yet"),
        ("WorkflowProfile demo/b and 1 more", "TargetResolved is False (NotFound)"),
        ("WorkflowProfile demo/a", "Ready is False (TooFewRuns)"),
    ]


def test_what_was_created_just_now_is_not_unprocessed(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "new", metadata={"creationTimestamp": iso(time.time() - 20)})
    client.put(PROFILES, "demo", "old", metadata={"creationTimestamp": iso(time.time() - 3600)})
    found = [c for c in examined() if c.name.startswith("WorkflowProfile ")]
    assert [(c.name, c.mark.value, c.result) for c in found] == [
        ("WorkflowProfile demo/new", "ok", "created less than 10m00s ago; processed in the operator's next cycle"),
        ("WorkflowProfile demo/old", "warn", "not processed by any operator yet"),
    ]


def test_it_says_when_nothing_is_watched(client: MemoryClient) -> None:
    client.put(POLICIES, "demo", "team", spec={}, status={"conditions": [condition("Ready", "True", "Active")]})
    (line,) = states()
    assert line.result == "nothing is watched: no profile exists and no policy has spec.discover"
    assert "kubectl apply -f examples/policy.yaml" in line.fix


# --- the history on a server ------------------------------------------------------------------------------------------


def test_a_history_is_looked_at_and_not_begun(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Schema.fresh(postgres.url, postgres.password_file)
    (fresh,) = doctor.history(place.address)
    ours = max(MIGRATIONS)
    assert (fresh.name, fresh.mark) == ("history.url", DiagnosticStatus.OK)
    assert fresh.result == (
        f"answers; schema {place.address.schema} has no tables yet, the operator brings it to {ours} at its startup"
    )
    with pytest.raises(psycopg.errors.UndefinedTable):
        place.raw("SELECT * FROM migrations")
    with place.open():
        (there,) = doctor.history(place.address)
    assert there.result == f"answers; schema {place.address.schema} has version {ours}"
    monkeypatch.setitem(MIGRATIONS, ours + 1, ())
    (earlier,) = doctor.history(place.address)
    assert earlier.mark is DiagnosticStatus.OK
    assert earlier.result.endswith(f"has version {ours}, the operator brings it to {ours + 1} at its startup")


def test_a_history_of_a_newer_version_is_a_fault(postgres: PostgresServer) -> None:
    place = Schema.fresh(postgres.url, postgres.password_file)
    with place.open():
        place.raw("INSERT INTO migrations (version) VALUES (99)")
    (check,) = doctor.history(place.address)
    assert check.mark is DiagnosticStatus.FAIL
    assert "history.schema" in check.result


@pytest.mark.parametrize(
    ("state", "result", "fix"),
    [
        (
            ServerState(5, 5, False, True),
            "answers; schema own has version 5; it is a read-only standby",
            "primary server",
        ),
        (
            ServerState(0, 5, True, False),
            "answers; schema own has no tables yet, and this user may not create any there",
            "the owner of schema own",
        ),
    ],
)
def test_a_server_that_takes_no_tables_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, state: ServerState, result: str, fix: str
) -> None:
    monkeypatch.setattr(doctor, "server_state", lambda _: state)
    (check,) = doctor.history(DatabaseAddress("postgresql://db/history", "own"))
    assert (check.mark, check.result) == (DiagnosticStatus.FAIL, result)
    assert fix in check.fix


def test_a_user_without_rights_is_noticed(postgres: PostgresServer) -> None:
    place = Schema.fresh(postgres.url, postgres.password_file)
    place.raw("CREATE ROLE doctor_reader")
    assert server_state(place.address) == ServerState(0, max(MIGRATIONS), True, True)
    with closing(history_session(place.address)) as session:
        session.execute("SET ROLE doctor_reader")
        assert rights(session, place.address.schema) == (True, False)


def test_a_server_that_is_away_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "concertmaster.yaml"
    source = {"name": "default", "url": "http://127.0.0.1:1"}
    file.write_text(yaml.safe_dump({"sources": [source], "history": {"url": "postgresql://127.0.0.1:1/history"}}))
    answer = CliRunner().invoke(doctor.command, ["--skip-cluster", "--config", str(file)])
    assert answer.exit_code != 0
    assert "History postgresql://127.0.0.1:1/history\n  FAIL  history.url: " in answer.output
    assert "Check that the server runs" in answer.output


# --- archives of engines ----------------------------------------------------------------------------------------------


def configured(**fields: Any) -> settings.Settings:
    sources = [{"name": "default", "url": "http://prometheus:9090"}]
    return settings.Settings.model_validate({"sources": sources, "namespaces": ["data", "ml"], **fields})


def archived(tables: ArchiveTables, **fields: Any) -> settings.Settings:
    return configured(argoArchive=tables.settings().model_dump(mode="json", by_alias=True, exclude_none=True) | fields)


def test_an_archive_is_asked_for_the_runs_of_the_namespaces(postgres: PostgresServer) -> None:
    tables = ArchiveTables.fresh(postgres)
    (empty,) = doctor.archives(archived(tables))
    assert (empty.mark, empty.result) == (DiagnosticStatus.WARN, "can be read, but holds no run of data and ml")
    assert "compare argoArchive with the configuration of the engine" in empty.fix
    tables.put(workflow("etl-1", 1000.0))
    (holds,) = doctor.archives(archived(tables))
    assert (holds.name, holds.mark, holds.result) == ("argoArchive", DiagnosticStatus.OK, "can be read")


def test_an_archive_that_cannot_be_read_says_what_to_do(postgres: PostgresServer) -> None:
    tables = ArchiveTables.fresh(postgres)
    (check,) = doctor.archives(archived(tables, table="nowhere"))
    assert check.mark is DiagnosticStatus.WARN
    assert "argoArchive.table" in check.result


def test_a_configuration_without_archives_has_no_such_check() -> None:
    assert list(doctor.archives(configured())) == []


def test_the_command_prints_what_a_configuration_names(tmp_path: Path) -> None:
    source = {"name": "default", "url": "http://127.0.0.1:1"}
    archive = {"url": "postgresql://reader@127.0.0.1:1/argo"}
    file = tmp_path / "concertmaster.yaml"
    file.write_text(yaml.safe_dump({"sources": [source], "argoArchive": archive}))
    answer = CliRunner().invoke(doctor.command, ["--skip-cluster", "--config", str(file)])
    assert (
        "Archives of engines\n  warn  argoArchive: the workflow archive postgresql://127.0.0.1:1/argo" in answer.output
    )
