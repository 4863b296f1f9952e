"""values.schema.json: the chart rejects unknown values, and those that the operator would reject at startup.

The parts that become the operator's configuration are taken from its model, so the two stay consistent. Where the
configuration takes a file, the chart also takes a reference to a Secret.
"""

from __future__ import annotations

import json
from typing import Any

from charts.rights import switches
from concertmaster import settings

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
_DATABASE = "^(postgres(ql)?://[^:@/]*(@[^@/]+|[^@/]*)/.+)?$"  # without password
_NAME: Schema = {"type": "string", "pattern": "^([a-z]([a-z0-9-]*[a-z0-9])?)?$"}  # as of a Service
_NAME_PART: Schema = {"type": "string", "pattern": "^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$"}
_INTERVAL: Schema = {"type": "string", "pattern": "^([0-9]+(ms|[smhdwy]))+$"}
_URL = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
_ANY: Schema = {"type": "object"}
_LIST: Schema = {"type": "array", "items": {"type": "object"}}
_STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_NAMESPACES: Schema = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"},
    "uniqueItems": True,
    "maxItems": 1000,
}
_QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"}
# Fields whose values must not be in plain text: field of the configuration -> field of the values.
_FILES = {"passwordFile": "passwordSecret", "bearerTokenFile": "bearerTokenSecret", "valueFile": "valueSecret"}
_RECEIVER_FILES = {"urlFile": "urlSecret", "signingKeyFile": "signingKeySecret"}
_TLS_FILES = {"caFile": "caSecret", "certFile": "certSecret", "keyFile": "keySecret"}


def _section(**properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _reference() -> Schema:
    reference = _section(name={**_TEXT, "minLength": 1}, key={**_TEXT, "minLength": 1})
    reference["required"] = ["name", "key"]
    return reference


def _plain(node: Any) -> Any:
    """The schema without titles and internal annotations; ``anyOf`` with null becomes the other branch (values are
    omitted instead)."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    branches = [b for b in node.get("anyOf", ()) if b != {"type": "null"}]
    if len(branches) == 1:
        node = {**{k: v for k, v in node.items() if k not in ("anyOf", "default")}, **branches[0]}
    # `title` is an annotation unless it is the name of a property, which `properties` handles below.
    plain = {k: v for k, v in node.items() if k not in ("title", "x-unit", "format", "default")}
    if isinstance(node.get("properties"), dict):
        plain["properties"] = {k: _plain(v) for k, v in node["properties"].items()}
    if isinstance(node.get("patternProperties"), dict):
        plain["patternProperties"] = {k: _plain(v) for k, v in node["patternProperties"].items()}
        plain["additionalProperties"] = False
    for key in ("items", "additionalProperties", "anyOf", "oneOf"):
        if key in plain:
            plain[key] = _plain(plain[key])
    return plain


def _with_secrets(definitions: dict[str, Any]) -> None:
    """Accept a Secret reference wherever a file is accepted."""
    reference = _reference()
    for name, fields in (
        ("BasicAuth", ("passwordFile",)),
        ("Auth", ("bearerTokenFile",)),
        ("Header", ("valueFile",)),
        ("Tls", tuple(_TLS_FILES)),
        ("Receiver", (*_RECEIVER_FILES, "caFile")),
    ):
        section = definitions[name]
        for field in fields:
            secret = {**_FILES, **_TLS_FILES, **_RECEIVER_FILES}[field]
            section["properties"][secret] = {**reference, "description": f"Secret that is mounted as {field}."}
            both = {"required": [field, secret]}
            section.setdefault("allOf", []).append({"not": both})
            if field in section.get("required", ()):
                section["required"] = [r for r in section["required"] if r != field]
                section["allOf"].append({"anyOf": [{"required": [field]}, {"required": [secret]}]})
    tls = definitions["Tls"]
    tls["properties"]["caConfigMap"] = {**reference, "description": "ConfigMap that is mounted as caFile."}
    tls["allOf"] += [{"not": {"required": ["caConfigMap", other]}} for other in ("caFile", "caSecret")]
    definitions["MetricsSource"]["properties"]["url"]["pattern"] = _URL
    header = definitions["Header"]
    definitions["Header"] = {"oneOf": [{"type": "string"}, header]}


def build() -> Schema:
    """The complete schema."""
    model = settings.schema()
    definitions = {name: _plain(section) for name, section in model["$defs"].items() if name != "Listen"}
    _with_secrets(definitions)
    top = {name: _plain(node) for name, node in model["properties"].items()}
    archive = definitions["ArgoArchiveSettings"]["properties"]
    persistence = _section(
        enabled=_FLAG,
        existingClaim=_TEXT,
        size=_QUANTITY,
        storageClassName=_TEXT,
        accessModes={
            "type": "array",
            "minItems": 1,
            "items": {"enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]},
        },
        keep=_FLAG,
    )
    properties: Schema = {
        "image": _section(
            repository={**_TEXT, "minLength": 1},
            tag=_TEXT,
            digest={**_TEXT, "pattern": "^(sha256:[0-9a-f]{64})?$"},
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        ),
        "imagePullSecrets": _LIST,
        "nameOverride": _NAME_PART,
        "fullnameOverride": _NAME,
        "commonLabels": _STRINGS,
        "crds": _section(enabled=_FLAG, keep=_FLAG),
        "sources": {**top["sources"], "minItems": 1},
        "receivers": top["receivers"],
        "namespaces": _NAMESPACES,
        "engines": _section(**dict.fromkeys(switches(), _FLAG)),
        "reads": _section(kueueWorkloads=_FLAG, argoConfigMaps=_FLAG, argoNamespace=_NAME_PART),
        "config": _section(
            interval=top["interval"],
            live=_FLAG,
            logLevel=top["logLevel"],
            limits=top["limits"],
            clusterTemplateOwners=top["clusterTemplateOwners"],
        ),
        "rbac": _section(create=_FLAG, userRoles=_FLAG),
        "apply": _section(enabled=_FLAG, namespaces=_NAMESPACES, trialPods=_FLAG),
        "approvals": _section(admissionPolicy=_FLAG),
        "serviceAccount": _section(create=_FLAG, name=_TEXT, annotations=_STRINGS),
        "shards": {"type": "integer", "minimum": 1, "maximum": 100},
        "history": _section(
            url={**_TEXT, "pattern": _DATABASE},
            schema=_plain(model["$defs"]["HistorySettings"]["properties"]["schema"]),
            cacheSize=_plain(model["$defs"]["HistorySettings"]["properties"]["cacheSize"]),
            secret=_section(name=_TEXT, userKey={**_TEXT, "minLength": 1}, passwordKey={**_TEXT, "minLength": 1}),
            persistence=persistence,
            sizeLimit=_QUANTITY,
        ),
        "argoArchive": _section(
            url={**_TEXT, "pattern": _DATABASE},
            secret=_section(name=_TEXT, userKey=_TEXT, passwordKey={**_TEXT, "minLength": 1}),
            table=archive["table"],
            clusterName=archive["clusterName"],
            instanceId=archive["instanceId"],
        ),
        "tektonResults": _section(
            url={**_TEXT, "pattern": _DATABASE},
            secret=_section(name=_TEXT, userKey=_TEXT, passwordKey={**_TEXT, "minLength": 1}),
            table=definitions["TektonResultsSettings"]["properties"]["table"],
        ),
        "resources": _ANY,
        "podAnnotations": _STRINGS,
        "podLabels": _STRINGS,
        "nodeSelector": _STRINGS,
        "tolerations": _LIST,
        "affinity": _ANY,
        "priorityClassName": _TEXT,
        "extraEnv": _LIST,
        "extraVolumes": _LIST,
        "extraVolumeMounts": _LIST,
        "runAsUser": {"type": ["integer", "null"], "minimum": 1},
        "service": _section(port=_PORT),
        "web": _section(
            enabled=_FLAG,
            replicas={"type": "integer", "minimum": 1, "maximum": 10},
            port=_PORT,
            audiences={"type": "array", "items": {**_TEXT, "minLength": 1}, "maxItems": 10},
            tls=_section(secretName=_TEXT),
            resources=_ANY,
        ),
        "metrics": _section(
            serviceMonitor=_section(enabled=_FLAG, labels=_STRINGS, interval=_INTERVAL),
            prometheusRule=_section(
                enabled=_FLAG,
                labels=_STRINGS,
                recordingRules=_FLAG,
                collectionRules=_FLAG,
                staleAfterSeconds={"type": "integer", "minimum": 60},
                degradedRatio={"type": "number", "minimum": 1},
                failedRuns={"type": "integer", "minimum": 1},
                savingsPerMonth={"type": "number", "minimum": 0},
            ),
            dashboards=_section(enabled=_FLAG, labels=_STRINGS, annotations=_STRINGS),
        ),
        "networkPolicy": _section(
            enabled=_FLAG,
            metricsFrom=_LIST,
            webFrom=_LIST,
            apiServerTo=_LIST,
            apiServerPorts={"type": "array", "items": _PORT, "minItems": 1},
            dnsPorts={"type": "array", "items": _PORT, "minItems": 1},
            receiversEgress=_LIST,
            sourcesTo=_LIST,
            sourcePorts={"type": "array", "items": _PORT},
        ),
        "extraObjects": _LIST,
        # Helm passes this to a chart that is a dependency of another one.
        "global": _ANY,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Concertmaster chart",
        "type": "object",
        "additionalProperties": False,
        "$defs": definitions,
        "properties": properties,
    }


def render() -> str:
    """The text of the file."""
    return json.dumps(build(), indent=1, sort_keys=True) + "\n"
