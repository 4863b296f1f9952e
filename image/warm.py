"""Compile what the operator imports and nothing else: a read-only file system cannot do it at the first start.

``python image/warm.py TREE`` imports every command from TREE in a Python that sees nothing but its standard library and
TREE. Bytecode of the libraries' other modules would double the size for nothing. The operator itself runs without
documentation strings (see the chart's Deployment), and is compiled a second time for that.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_OPERATOR = "import concertmaster.cli.commands.run, concertmaster.controller.main"
_COMMANDS = """
import importlib
from concertmaster.cli import COMMANDS
for module, _ in COMMANDS.values():
    importlib.import_module(module)
"""


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python image/warm.py TREE\n")
        return 2
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPATH"] = str(Path(arguments[0]).resolve())
    passes = (("-S", "-c", f"{_OPERATOR}\n{_COMMANDS}"), ("-S", "-OO", "-c", _OPERATOR))
    return max(subprocess.run([sys.executable, *each], env=environment, check=False).returncode for each in passes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
