"""README.md of the chart, generated from the comments of values.yaml.

A comment that begins with ``# --`` documents the key below it; ``# @section`` begins a table. A key without a comment
and a comment without a key are errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(.*)$")

_HEAD = """# Concertmaster chart

<!-- Generated from values.yaml by `make generate`; edit the comments there. -->

Installs the [Concertmaster](../../README.md) operator, its CustomResourceDefinitions and the rights it needs: reading
everywhere (or in the namespaces you list), writing nothing but its own kinds.

```console
helm install concertmaster charts/concertmaster --namespace concertmaster --create-namespace \\
  --set image.repository=REGISTRY/concertmaster \\
  --set 'sources[0].name=default' --set 'sources[0].url=http://prometheus.monitoring:9090'
```

The first steps, with how to build the image: [docs/quickstart.md](../../docs/quickstart.md).
How to run it day by day, what it costs and how to remove it: [docs/operations.md](../../docs/operations.md).
What it may do and what it refuses: [docs/threat-model.md](../../docs/threat-model.md).

"""


class Undocumented(ValueError):
    """values.yaml has a key without a comment, or a comment without a key."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value: dotted key, section, comment, and default as JSON."""

    key: str
    section: str
    about: str
    default: str


def documented(text: str) -> list[Value]:
    """All documented values in order. Raises Undocumented."""
    defaults = yaml.safe_load(text)
    values = list(_scan(text, defaults))
    covered = [v.key for v in values]
    missing = [k for k in _leaves(defaults) if not any(k == c or k.startswith(f"{c}.") for c in covered)]
    if missing:
        raise Undocumented(f"values.yaml: no comment for {', '.join(missing)}")
    return values


def _scan(text: str, defaults: dict[str, Any]) -> Iterator[Value]:
    section, about, path = "", "", list[str]()
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("# @section "):
            section = bare.removeprefix("# @section ")
        elif bare.startswith("# -- "):
            about = bare.removeprefix("# -- ")
        elif bare.startswith("# ") and about:
            about += " " + bare.removeprefix("# ")
        elif match := _KEY.match(line):
            depth = len(match[1]) // 2
            path[depth:] = [match[2]]
            if about:
                value: Any = defaults
                for part in path:
                    value = value[part]
                yield Value(".".join(path), section, about, json.dumps(value))
                about = ""
        elif about:
            raise Undocumented(f"values.yaml: the comment '{about}' stands above no key")


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def render(text: str) -> str:
    """The README for the ``text`` of values.yaml."""
    parts, section = [_HEAD], None
    for value in documented(text):
        if value.section != section:
            section = value.section
            parts.append(f"## {section}\n\n| Value | Default | Meaning |\n|---|---|---|\n")
        about = value.about.replace("|", "\\|")
        parts.append(f"| `{value.key}` | `{value.default}` | {about} |\n")
    return re.sub(r"\n(## )", r"\n\n\1", "".join(parts)).replace("\n\n\n", "\n\n")
