"""How many threads numerical libraries start; to be imported before any of them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

#: What BLAS libraries, PyTorch and Numba read when they are loaded.
_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def limit_threads(n_threads: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let libraries start no more threads than a rank is given, unless the user has said it.

    By default each of them starts one per core in every rank, and they get in each other's way.
    """
    for name in _VARIABLES:
        environment.setdefault(name, str(n_threads))
