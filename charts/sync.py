"""Generated files around the chart: CRD templates, rights on engines' objects, values.schema.json, dashboards, rules,
README, the tables of engines and metrics.

``python -m charts.sync --write`` after a change of crds/, the engines, the settings, the values' comments or the
telemetry;
``--check`` fails with the list of files that are not fresh.
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
    """A CustomResourceDefinition behind the toggles ``crds.enabled`` and ``crds.keep``.

    Template marks in descriptions would be executed by Helm; they are quoted.
    """
    quoted = text.replace("{{", "{{ `{{` }}")
    head, found, tail = quoted.partition("metadata:\n")
    if not found:
        raise ValueError("a CustomResourceDefinition without metadata")
    return f"{_OPEN}{head}{found}{_KEEP}{tail}{_CLOSE}"


def generated() -> dict[Path, str]:
    """Every generated file with the text it should have."""
    crds = sorted((ROOT / "crds").glob("*.yaml"))
    found = {CHART / "templates" / "crds" / path.name: crd_template(path.read_text()) for path in crds}
    found |= {CHART / "dashboards" / name: text for name, text in dashboards.render().items()}
    found[CHART / "rules" / "collection.yaml"] = _RULES + yaml.safe_dump([GROUP], sort_keys=False, width=1000)
    found[CHART / "values.schema.json"] = values_schema.render()
    found[CHART / "templates" / "_engines.tpl"] = rights.template()
    values = rights.values((CHART / "values.yaml").read_text())
    found[CHART / "values.yaml"] = values
    found[CHART / "README.md"] = readme.render(values)
    page = ROOT / "docs" / "engines" / "README.md"
    found[page] = engines_table.render(page.read_text())
    found[ROOT / "docs" / "metrics.md"] = metrics_table.render()
    return found


def stale() -> list[str]:
    """Paths, below the repository, of files that differ or should not be there."""
    wanted = generated()
    wrong = [p for p, text in wanted.items() if not p.is_file() or p.read_text() != text]
    extra = [p for p in (CHART / "templates" / "crds").glob("*.yaml") if p not in wanted]
    return sorted(str(p.relative_to(ROOT)) for p in (*wrong, *extra))


def write() -> list[str]:
    """Write what is not fresh and remove templates of kinds that are gone; the paths touched."""
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
    """The command line; exit status 1 when a file is not fresh."""
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
