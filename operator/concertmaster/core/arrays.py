"""numpy, imported when something is computed with it for the first time: ``from concertmaster.core import arrays as np``.

It is a tenth of the memory of an operator that has nothing to do. A module's ``__getattr__`` (PEP 562) is asked for what the
module lacks, in any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import *  # noqa: F403
    from numpy import bool_, float64, intp
    from numpy.typing import NDArray

    Floats = NDArray[float64]
    Indices = NDArray[intp]
    Flags = NDArray[bool_]
else:
    Floats = Indices = Flags = Any

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):  # the import system asks for some
            raise AttributeError(name)
        import numpy

        value = globals()[name] = getattr(numpy, name)
        return value
