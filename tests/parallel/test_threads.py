"""Numerical libraries are told how many threads to start."""

from __future__ import annotations

import subprocess
import sys

from cxlsfind.parallel.threads import limit_threads


def test_what_the_user_says_counts() -> None:
    """Variables that are set stay as they are."""
    environment = {"OMP_NUM_THREADS": "7"}
    limit_threads(3, environment)
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["OPENBLAS_NUM_THREADS"] == environment["NUMBA_NUM_THREADS"] == "3"


def test_nothing_numerical_is_loaded_before() -> None:
    """Libraries read the variables when they are loaded: that comes later."""
    code = (
        "import sys, cxlsfind.cli.main; print([m for m in ('numpy', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
