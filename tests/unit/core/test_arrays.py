"""numpy is imported late: by what computes, and by nothing else."""

from __future__ import annotations

import subprocess
import sys

import numpy

from concertmaster.core import arrays

_IMPORTED = "import sys, {module}; print('numpy' in sys.modules)"


def imported(module: str) -> str:
    run = subprocess.run([sys.executable, "-c", _IMPORTED.format(module=module)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_an_operator_that_has_nothing_to_do_has_no_numpy() -> None:
    assert imported("concertmaster.controller.main") == "False"
    assert imported("concertmaster.core.pipeline") == "False"


def test_what_is_asked_of_it_is_numpys_own() -> None:
    assert arrays.float64 is numpy.float64
    assert arrays.random.default_rng is numpy.random.default_rng


def test_several_threads_may_ask_first() -> None:
    code = (
        "import threading\nfrom concertmaster.core import arrays as np\nfound = []\n"
        "threads = [threading.Thread(target=lambda: found.append(np.median([1.0, 2.0, 6.0]))) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]; print(found == [2.0] * 8)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout.strip(), run.returncode) == ("True", 0), run.stderr
