"""What is in the image, as a CycloneDX 1.5 document: every Python package with version, licence and locked hashes.

``python image/sbom.py TREE REQUIREMENTS --output FILE``. A package in the tree that is not in the locked requirements, or
the reverse, is an error. The document depends on the tree alone, so equal builds have equal documents.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ID = re.compile(r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$")
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_NAMESPACE = uuid.UUID("7f3b5f0e-5c86-5d0b-9a8e-0c6a1d2f4b11")


def normal(name: str) -> str:
    """A package's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[tuple[str, str], list[str]]:
    """Name and version to hashes, from a requirements file with hashes."""
    found: dict[tuple[str, str], list[str]] = {}
    present: list[str] = []
    for line in text.splitlines():
        if pin := _PIN.match(line):
            present = found.setdefault((normal(pin[1]), pin[2]), [])
        present += _HASH.findall(line)
    return found


def _field(package: Distribution, name: str) -> str:
    return next(iter(package.metadata.get_all(name) or ()), "")


def _licence(package: Distribution) -> dict[str, Any]:
    text = _field(package, "License-Expression")
    if _ID.match(text):
        return {"licenses": [{"expression": text}]}
    named = [
        line.rpartition(" :: ")[2]
        for line in package.metadata.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    short = _field(package, "License").strip().split("\n")[0][:80] or _title(package)
    return {"licenses": [{"license": {"name": name}} for name in named or [short] if name]}


def _title(package: Distribution) -> str:
    """The heading of the licence file, for packages whose metadata name none."""
    for path in package.files or ():
        if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
            return lines[0][:80] if lines else ""
    return ""


def components(tree: Path, lock: dict[tuple[str, str], list[str]]) -> Iterator[dict[str, Any]]:
    """One entry per installed package. ValueError for one that was not locked."""
    for package in sorted(distributions(path=[str(tree)]), key=lambda p: normal(p.metadata["Name"])):
        name, version = normal(package.metadata["Name"]), package.version
        if (name, version) not in lock:
            raise ValueError(f"{name} {version} is installed but not locked")
        purl = f"pkg:pypi/{name}@{version}"
        yield {
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "purl": purl,
            **_licence(package),
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in lock[name, version]],
        }


def document(tree: Path, requirements: str) -> dict[str, Any]:
    """The whole document for the installed ``tree``."""
    lock = locked(requirements)
    found = list(components(tree, lock))
    missing = {name for name, _ in lock} - {c["name"] for c in found}
    if missing:
        raise ValueError(f"locked but not installed: {', '.join(sorted(missing))}")
    version = _VERSION.search((tree / "concertmaster" / "__init__.py").read_text())
    if version is None:
        raise ValueError("the operator is not in the tree")
    own = f"pkg:pypi/concertmaster@{version[1]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(found))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "concertmaster",
                "version": version[1],
                "purl": own,
                "licenses": [{"expression": "Apache-2.0"}],
            },
            "properties": [{"name": "python", "value": platform.python_version()}],
        },
        "components": found,
        "dependencies": [{"ref": own, "dependsOn": [c["bom-ref"] for c in found]}],
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write what is in the image as CycloneDX JSON.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("requirements", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    try:
        found = document(options.tree, options.requirements.read_text())
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{len(found['components'])} packages in {options.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
