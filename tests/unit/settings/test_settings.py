"""The configuration file: defaults, and every mistake named by file, field and cure."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from concertmaster.engines.registry import OWNER_KINDS
from concertmaster.settings import Settings, SettingsError, load, parse, schema

LEAST = "sources: [{name: default, url: 'http://prometheus:9090'}]\n"
FULL = """
interval: 1m30s
historyPath: /data/history.db
namespaces: [team-a, team-b]
listen: {address: 127.0.0.1, port: 9000}
logLevel: debug
limits: {backfill: 30d, backfillPerCycle: 12h, statusWritesPerSecond: 5, extraQueriesPerCycle: 10}
clusterTemplateOwners: [{name: shared-etl, namespace: team-a}]
sources:
- name: default
  url: https://thanos.example.com/prefix/
  auth: {bearerTokenFile: /var/run/token}
  tls: {caFile: /etc/ca.pem, certFile: /etc/c.pem, keyFile: /etc/k.pem}
  headers: {X-Scope-OrgID: team, Authorization: {valueFile: /etc/header}}
  queryParams: {dedup: "true", partial_response: "false"}
  extraMatchers: {cluster: prod-1}
  namespaceSelector: {matchLabels: {team: data}}
  perMetricQueries: true
  ownerKinds: [Workflow, RayJob]
  scrapeInterval: 15s
  delaySeconds: 30
  timeoutSeconds: 12.5
  deadlineSeconds: 60
  maxElements: 10000
  maxResponseBytes: 1000000
- name: other
  url: http://10.0.0.1:9090
  auth: {basic: {username: ops, passwordFile: /etc/password}}
"""


def test_the_least_configuration_and_its_defaults() -> None:
    found = parse(LEAST)
    assert (found.interval.seconds, found.namespaces, found.listen.port) == (300, (), 8080)
    (source,) = found.sources
    assert (source.max_elements, source.delay_seconds) == (50_000, 60)
    assert {"Job", "TaskRun", "Workflow"} <= set(source.owner_kinds) == set(OWNER_KINDS)
    assert found.notes() == []


def test_everything_can_be_said() -> None:
    found = parse(FULL)
    assert found.interval.seconds == 90
    assert found.limits.backfill.seconds == 30 * 86_400
    source = found.source("default")
    assert source is not None
    assert source.url == "https://thanos.example.com/prefix"
    assert source.extra_matchers == {"cluster": "prod-1"}
    assert source.scrape_interval is not None and source.scrape_interval.seconds == 15
    assert source.namespace_selector.matches({"team": "data", "x": "y"})
    assert not source.namespace_selector.matches({"team": "web"})
    assert found.source("nobody") is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["must be a mapping", "sources"]),
        ("- a\n", ["must be a mapping"]),
        ("interval: 2026-02-31\n" + LEAST, ["line 1", "cannot be read as timestamp", "put it in quotes"]),
        ("interval: !!int x\n" + LEAST, ["line 1", "cannot be read as int"]),
        ("[" * 5000, ["nested too deeply"]),
        ("a: &a [*a]\n" + LEAST, ["line 1", "a contains itself"]),
        ("1: 2\n" + LEAST, ["[1]: is not text"]),
        ("namespaces: etl\n" + LEAST, ["namespaces: must be a list"]),
        ("listen: [8080]\n" + LEAST, ["listen: must be a mapping"]),
        ("historyPath: ''\n" + LEAST, ["historyPath: must have at least 1 character"]),
        ("interval: 5\n" + LEAST, ["interval: 5 is not a string: write a duration"]),
        ("sources: [{name: default, url: http://p, ownerKinds: []}]\n", ["ownerKinds: must have at least 1 item"]),
        ("a: [", ["line 1", "not valid YAML"]),
        ("interval: 1m\ninterval: 2m\n" + LEAST, ["line 2", "interval is set twice"]),
        ("a: !!python/object/apply:os.system [id]\n", ["not valid YAML"]),
        ("interval: 5m\n", ["sources", "is required and missing"]),
        ("sources: []\n", ["sources", "name at least one"]),
        ("intervall: 5m\n" + LEAST, ["intervall", "did you mean interval?"]),
        ("interval: 5 minutes\n" + LEAST, ["interval", "20m"]),
        ("interval: 1s\n" + LEAST, ["interval", "at least 10s"]),
        ("listen: {port: 99999}\n" + LEAST, ["listen.port", "65535"]),
        ("logLevel: loud\n" + LEAST, ["logLevel", "debug"]),
        ("namespaces: [Team_A]\n" + LEAST, ["namespaces[0]", "lower-case"]),
        ("limits: {statusWritesPerSecond: 0}\n" + LEAST, ["limits.statusWritesPerSecond"]),
        ("sources: [{name: X, url: 'http://a'}]\n", ["sources[0].name", "lower-case"]),
        ("sources: [{name: a, url: 'ftp://a'}]\n", ["sources[0].url", "http://host"]),
        ("sources: [{name: a, url: 'http://'}]\n", ["sources[0].url", "http://host"]),
        ("sources: [{name: a, url: 'http://a:port'}]\n", ["sources[0].url", "http://host"]),
        ("sources: [{name: a, url: 'http://a b'}]\n", ["sources[0].url", "http://host"]),
        ("sources: [{name: a, url: 'http://a/api/v1/'}]\n", ["sources[0].url", "leave out /api/v1"]),
        ("sources: [{name: a, url: 'http://a?x=1'}]\n", ["sources[0].url", "queryParams"]),
        ("sources: [{name: a, url: 'http://a/#/graph'}]\n", ["sources[0].url", "queryParams"]),
        ("sources: [{name: a, ulr: 'http://a', url: 'http://a'}]\n", ["sources[0].ulr", "did you mean url?"]),
        ("sources: [{name: a, url: 'http://a'}, {name: a, url: 'http://b'}]\n", ["more than once", "unique"]),
        ("sources: [{name: a, url: 'http://a', tls: {certFile: /a}}]\n", ["sources[0].tls", "keyFile together"]),
        (
            "sources: [{name: a, url: 'http://a', auth: {bearerTokenFile: /a, basic: {username: b, passwordFile: /c}}}]\n",
            ["sources[0].auth", "not both"],
        ),
        (
            "sources: [{name: a, url: 'http://a', auth: {basic: {username: b}}}]\n",
            ["auth.basic.passwordFile", "missing"],
        ),
        ("sources: [{name: a, url: 'http://a', auth: {token: b}}]\n", ["auth.token", "bearerTokenFile"]),
        ("sources: [{name: a, url: 'http://a', headers: {X: {}}}]\n", ["headers.X", "exactly one"]),
        ('sources: [{name: a, url: "http://a", headers: {X: "a\\nb"}}]\n', ["headers.X", "one line"]),
        ("sources: [{name: a, url: 'http://a', headers: {'X Y': a}}]\n", ["headers", "header name"]),
        ("sources: [{name: a, url: 'http://a', queryParams: {query: up}}]\n", ["queryParams", "the operator does"]),
        ("sources: [{name: a, url: 'http://a', extraMatchers: {namespace: b}}]\n", ["extraMatchers", "itself"]),
        (
            "sources: [{name: a, url: 'http://a', labels: {stateMetrics: {podd: b}}}]\n",
            ["labels.stateMetrics.podd", "pod"],
        ),
        (
            "sources: [{name: a, url: 'http://a', labels: {containerMetrics: {pod: container}}}]\n",
            ["labels.containerMetrics", "two labels the name container"],
        ),
        ("sources: [{name: a, url: 'http://a', extraMatchers: {'a-b': c}}]\n", ["extraMatchers", "label name"]),
        ("sources: [{name: a, url: 'http://a', timeoutSeconds: 0}]\n", ["sources[0].timeoutSeconds"]),
        ("sources: [{name: a, url: 'http://a', maxElements: many}]\n", ["sources[0].maxElements"]),
        (
            "clusterTemplateOwners: [{name: t, namespace: a}, {name: t, namespace: b}]\n" + LEAST,
            ["clusterTemplateOwners", "unique"],
        ),
        ("namespaces: [a, b, a]\n" + LEAST, ["namespaces", "names a more than once"]),
        ("interval: 2d\n" + LEAST, ["interval", "at most 1d"]),
        ("history: {url: 'mysql://db/x'}\n" + LEAST, ["history.url", "postgresql://host:port/database"]),
        ("history: {url: 'postgresql://db'}\n" + LEAST, ["history.url", "postgresql://host:port/database"]),
        ("history: {url: 'postgresql://db:port/x'}\n" + LEAST, ["history.url", "postgresql://host:port/database"]),
        ("history: {url: 'postgresql://u:p@db/x'}\n" + LEAST, ["history.url", "PGPASSWORD or passwordFile"]),
        ("history: {url: 'postgresql://db/x?password=p'}\n" + LEAST, ["history.url", "PGPASSWORD or passwordFile"]),
        (
            "history: {url: 'postgresql://db/x?sslpassword=p'}\n" + LEAST,
            ["history.url", "sslpassword must not stand here"],
        ),
        ("history: {schema: 'a\"b'}\n" + LEAST, ["history.schema"]),
        ("history: {url: ''}\n" + LEAST, ["history.url", "write postgresql://host:port/database"]),
        ("argoArchive: {url: '', usernameFile: /a}\n" + LEAST, ["argoArchive.url", "write postgresql://"]),
        ("argoArchive: {url: 'mysql://u@db/x'}\n" + LEAST, ["argoArchive.url", "postgresql://host:port/database"]),
        ("argoArchive: {url: 'postgresql://u:p@db/x'}\n" + LEAST, ["argoArchive.url", "here: use passwordFile"]),
        (
            "argoArchive: {url: 'postgresql://u@db/x?sslkey=/k&sslpassword=p'}\n" + LEAST,
            ["argoArchive.url", "sslpassword must not stand here"],
        ),
        (
            "argoArchive: {url: 'postgresql://db/x'}\n" + LEAST,
            ["argoArchive", "name the user in url or in usernameFile"],
        ),
        ("argoArchive: {table: 'a.b.c'}\n" + LEAST, ["argoArchive.table"]),
        ("tektonResults: {url: 'mysql://u@db/x'}\n" + LEAST, ["tektonResults.url", "postgresql://host:port/database"]),
        (
            "tektonResults: {url: 'postgresql://db/x'}\n" + LEAST,
            ["tektonResults", "name the user in url or in usernameFile"],
        ),
        ("tektonResults: {table: 'records;drop'}\n" + LEAST, ["tektonResults.table"]),
        ("tektonResults: {clusterName: default}\n" + LEAST, ["tektonResults.clusterName"]),
        ("argoArchive: {table: 'a;drop'}\n" + LEAST, ["argoArchive.table"]),
        ("historyPath: /\n" + LEAST, ["historyPath", "directory", "name a file"]),
        ("historyPath: /data/\n" + LEAST, ["historyPath", "directory"]),
        ("historyPath: ..\n" + LEAST, ["historyPath", "directory"]),
        ("historyPath: /proc/history.db\n" + LEAST, ["historyPath", "on a disk"]),
        ("historyPath: ':memory:'\n" + LEAST, ["historyPath", "lost with the process"]),
        ('historyPath: "a\\nb"\n' + LEAST, ["historyPath", "control characters"]),
        ("listen: {address: everywhere}\n" + LEAST, ["listen.address", "0.0.0.0"]),
        ("limits: {backfill: 0s}\n" + LEAST, ["limits.backfill", "between 1h and 400d"]),
        ("limits: {backfillPerCycle: 1s}\n" + LEAST, ["limits.backfillPerCycle", "never reaches the past"]),
        (
            "sources: [{name: a, url: 'http://a', timeoutSeconds: 60, deadlineSeconds: 10}]\n",
            ["sources[0]", "deadlineSeconds (10) is below timeoutSeconds (60)", "raise deadlineSeconds"],
        ),
        ("sources: [{name: a, url: 'http://a', scrapeInterval: 0s}]\n", ["sources[0].scrapeInterval", "1s and 1h"]),
        ("sources: [{name: a, url: 'http://a', ownerKinds: []}]\n", ["sources[0].ownerKinds"]),
        ("sources: [{name: a, url: 'http://a', ownerKinds: ['Job|Pod']}]\n", ["ownerKinds[0]", "for example Job"]),
        (
            "sources: [{name: a, url: 'http://a', extraMatchers: {cluster: ''}}]\n",
            ["extraMatchers.cluster", "its value"],
        ),
        ("sources: [{name: a, url: 'http://a', headers: {Host: b}}]\n", ["host", "client sets it"]),
        ("sources: [{name: a, url: 'http://a', headers: {X-A: b, x-a: c}}]\n", ["x-a", "unique"]),
        ("sources: [{name: a, url: 'http://a', headers: {X: \u2603}}]\n", ["headers.X", "ASCII"]),
        ("sources: [{name: a, url: 'http://a', queryParams: {'a b': c}}]\n", ["queryParams", "letters, digits"]),
        (
            "sources: [{name: a, url: 'http://a', namespaceSelector: {matchLabels: {'a b': c}}}]\n",
            ["matchLabels", "key of a label"],
        ),
        (
            "sources: [{name: a, url: 'http://a', auth: {basic: {username: 'a:b', passwordFile: /c}}}]\n",
            ["auth.basic.username", "without a colon"],
        ),
        ("sources: [{name: a, url: 'http://a/api/v1/query'}]\n", ["sources[0].url", "leave out /api/v1"]),
    ],
)
def test_mistakes_name_file_field_and_cure(text: str, parts: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text, name="config.yaml")
    message = str(caught.value)
    assert message.startswith("config.yaml")
    assert all(part in message for part in parts), message
    assert "Traceback" not in message and "pydantic" not in message.lower()


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse("interval: x\nlisten: {port: 0}\nsources: [{name: a, url: b}]\n")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "text",
    [
        "sources: [{name: a, url: 'http://user:s3cret@host'}]",
        "sources: [{name: a, url: 'http://a', headers: {Authorization: Bearer s3cret}}]",
        "sources: [{name: a, url: 'http://a', headers: {X-Key: {value: s3cret, valueFile: /a}}}]",
        "sources: [{name: a, url: 'http://a', auth: {bearerTokenFile: [s3cret]}}]",
    ],
)
def test_refusals_do_not_repeat_secrets(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)


def test_headers_are_not_printed() -> None:
    found = parse("sources: [{name: a, url: 'http://a', headers: {X-Key: s3cret}}]")
    assert "s3cret" not in repr(found) + str(found)


@pytest.mark.parametrize(
    "archive",
    [
        "{}",
        "{url: 'postgresql://reader@db:5432/argo?sslmode=verify-full', table: argo.argo_archived_workflows}",
        "{url: 'postgresql://db/argo?user=reader', clusterName: prod-1, instanceId: canary}",
        "{url: 'postgresql://db/argo', usernameFile: /a/username, passwordFile: /a/password}",
    ],
)
def test_an_archive_and_who_reads_it(archive: str) -> None:
    found = parse(f"argoArchive: {archive}\n{LEAST}")
    assert (found.argo_archive.url is None) == (archive == "{}")
    missing = [note for note in found.notes() if note.startswith("argoArchive")]
    files = ("usernameFile /a/username", "passwordFile /a/password") if "/a/" in archive else ()
    assert missing == [f"argoArchive.{file} cannot be read here." for file in files]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(SettingsError, match="UTF-8"):
        load(tmp_path / "latin.yaml")


def test_loading_a_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(FULL)
    assert load(file) == parse(FULL)


def test_notes_point_at_what_is_allowed_but_odd(tmp_path: Path) -> None:
    token = tmp_path / "token"
    text = f"""
historyPath: history.db
namespaces: [team-a]
clusterTemplateOwners: [{{name: shared, namespace: team-b}}]
sources:
- {{name: main, url: 'http://a', auth: {{bearerTokenFile: {token}}}, tls: {{insecureSkipVerify: true}}}}
"""
    notes = parse(text).notes()
    assert [
        any(part in note for note in notes)
        for part in ("default", "plain http", "any certificate", "relative", "nobody owns it")
    ] == [True] * 5
    assert any(str(token) in note for note in notes)
    there = parse(f"historyPath: {tmp_path}\n{LEAST}").notes()
    assert any("is a directory here" in note for note in there)
    token.write_text("x")
    assert not any(str(token) in note for note in parse(text).notes())


def test_there_is_no_note_on_what_is_not_odd(tmp_path: Path) -> None:
    for name in ("token", "url", "key"):
        (tmp_path / name).write_text("x")
    text = f"""
namespaces: [team-a]
clusterTemplateOwners: [{{name: shared, namespace: team-a}}]
sources:
- {{name: default, url: 'https://a', auth: {{bearerTokenFile: {tmp_path}/token}}}}
- {{name: open, url: 'http://b'}}
receivers:
- {{name: chat, urlFile: {tmp_path}/url}}
- {{name: relay, format: JSON, urlFile: {tmp_path}/url, signingKeyFile: {tmp_path}/key}}
"""
    assert parse(text).notes() == []
    assert parse(text.replace(f", signingKeyFile: {tmp_path}/key", "")).notes() == [
        "receivers.relay gets unsigned messages; set signingKeyFile."
    ]
    assert parse("clusterTemplateOwners: [{name: shared, namespace: team-b}]\n" + LEAST).notes() == []


def test_the_schema_describes_every_field() -> None:
    found = schema()
    assert found["required"] == ["sources"]
    sections = [found, *found["$defs"].values()]
    for section in sections:
        for name, field in section.get("properties", {}).items():
            assert field.get("description"), name
    assert {"interval", "historyPath", "clusterTemplateOwners"} <= set(found["properties"])


def test_what_is_written_back_reads_the_same() -> None:
    found = parse(FULL)
    text = yaml.safe_dump(found.model_dump(mode="json", by_alias=True, exclude_unset=True))
    assert Settings.model_validate(yaml.safe_load(text)) == found
