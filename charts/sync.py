"""Generated files of the chart: CRD templates, RBAC rules, values.schema.json, dashboards, rules, README, and the
tables of engines and metrics.

Run ``python -m charts.sync --write`` after a change of crds/, the engines, the settings, the comments of the values, or
the telemetry. ``--check`` fails with a list of the outdated files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from charts import dashboards, engines_table, metrics_table, readme, rights, values_schema
from concertmaster.prometheus.queries.recording_rule import GROUP

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "concertmaster"

_OPEN = "{{- if .Values.crds.enabled }}\n"
_KEEP = """  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""
_CLOSE = "{{- end }}\n"
_RULES = "# Made by python -m charts.sync from prometheus/queries/recording_rule.py; usable as a rule file too.\n"


def crd_template(text: str) -> str:
    """A CustomResourceDefinition with the toggles ``crds.enabled`` and ``crds.keep``.

    Template delimiters in descriptions are quoted, otherwise Helm would evaluate them.
    """
    quoted = text.replace("{{", "{{ `{{` }}")
    head, marker, tail = quoted.partition("metadata:\n")
    if not marker:
        raise ValueError("a CustomResourceDefinition without metadata")
    return f"{_OPEN}{head}{marker}{_KEEP}{tail}{_CLOSE}"


def generated() -> dict[Path, str]:
    """The expected text of every generated file."""
    crds = sorted((ROOT / "crds").glob("*.yaml"))
    files = {CHART / "templates" / "crds" / path.name: crd_template(path.read_text()) for path in crds}
    files |= {CHART / "dashboards" / name: text for name, text in dashboards.render().items()}
    files[CHART / "rules" / "collection.yaml"] = _RULES + yaml.safe_dump([GROUP], sort_keys=False, width=1000)
    files[CHART / "values.schema.json"] = values_schema.render()
    files[CHART / "templates" / "_engines.tpl"] = rights.template()
    values = rights.values((CHART / "values.yaml").read_text())
    files[CHART / "values.yaml"] = values
    files[CHART / "README.md"] = readme.render(values)
    page = ROOT / "docs" / "engines" / "README.md"
    files[page] = engines_table.render(page.read_text())
    files[ROOT / "docs" / "metrics.md"] = metrics_table.render()
    return files


def stale() -> list[str]:
    """Paths, relative to the repository, of files that are outdated or should not exist."""
    wanted = generated()
    wrong = [p for p, text in wanted.items() if not p.is_file() or p.read_text() != text]
    extra = [p for p in (CHART / "templates" / "crds").glob("*.yaml") if p not in wanted]
    return sorted(str(p.relative_to(ROOT)) for p in (*wrong, *extra))


def write() -> list[str]:
    """Write outdated files and remove templates of removed kinds; returns the changed paths."""
    touched = stale()
    wanted = generated()
    for name in touched:
        path = ROOT / name
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return touched


def main() -> int:
    """The command line; exit status 1 if a file is outdated."""
    parser = argparse.ArgumentParser(prog="python -m charts.sync", description="Write or check generated files.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write what is not fresh")
    action.add_argument("--check", action="store_true", help="fail when something is not fresh")
    if parser.parse_args().write:
        sys.stdout.writelines(f"{name}\n" for name in write())
        return 0
    wrong = stale()
    if wrong:
        sys.stderr.write(f"error: not fresh: {', '.join(wrong)}; run 'python -m charts.sync --write' and commit\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
