"""Compile what the operator imports and nothing else: a read-only file system cannot do it at the first start.

``python image/warm.py TREE`` imports all our modules from TREE, and the libraries that they import only when they need
them, in a Python that sees nothing but its standard library and TREE. Bytecode of the libraries' other modules would
double the size for nothing. It is made twice: in the chart's container nothing that is run has documentation strings. Both
without columns of source code, which tracebacks would underline: the operator takes half a megabyte less memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LATE = ("brotli", "numpy", "zstandard")
_IMPORTS = f"""
import importlib, pkgutil, concertmaster, {", ".join(LATE)}
for module in pkgutil.walk_packages(concertmaster.__path__, "concertmaster."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
"""


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python image/warm.py TREE\n")
        return 2
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPATH"] = str(Path(arguments[0]).resolve())
    commands = ([sys.executable, "-S", "-X", "no_debug_ranges", *without, "-c", _IMPORTS] for without in ((), ("-OO",)))
    return max(subprocess.run(command, env=environment, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
