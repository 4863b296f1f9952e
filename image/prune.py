"""Leave out of the image what the operator never imports; it is more than half of what pip installs.

``python image/prune.py TREE``. Everything listed here must exist: an entry that matches nothing is an error, so that the
list does not outlive the libraries it was made for.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

# Below the tree, as glob patterns. Licences and metadata (*.dist-info) stay.
UNUSED = (
    "bin",  # console scripts of the libraries
    "kubernetes/aio",  # a second client
    "kubernetes/client/api",  # typed calls; the operator sends plain requests
    "numpy/*/tests",
    "numpy/tests",
    "numpy/f2py",  # a Fortran compiler front end
    "numpy/**/*.a",  # static libraries and headers
    "numpy/**/*.h",
    "**/*.pyi",  # types for editors
)


def size(tree: Path) -> int:
    """Bytes of all files."""
    return sum(p.stat().st_size for p in tree.rglob("*") if p.is_file() and not p.is_symlink())


def prune(tree: Path) -> tuple[int, int]:
    """Remove what is unused; bytes before and after. ValueError when an entry matches nothing."""
    before = size(tree)
    for pattern in UNUSED:
        found = sorted(tree.glob(pattern))
        if not found:
            raise ValueError(f"nothing matches {pattern}: remove it from the list in image/prune.py")
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    return before, size(tree)


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python image/prune.py TREE\n")
        return 2
    try:
        before, after = prune(Path(arguments[0]))
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"pruned {before / 1e6:.0f} MB to {after / 1e6:.0f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
