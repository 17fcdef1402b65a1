"""The decorator of kernels works where compiled code cannot be kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numba
import pytest

from cxlsfind.kernels._jit import kernel, kernel_part


def test_no_place_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba refuses to decorate where it finds no folder to write to; then nothing is kept."""
    original = numba.njit

    def njit(*, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return original(**options)

    monkeypatch.setattr("cxlsfind.kernels._jit._CACHE", True)
    monkeypatch.setattr("cxlsfind.kernels._jit.numba", SimpleNamespace(njit=njit))

    def double(number: int) -> int:
        return 2 * number

    assert kernel(double)(21) == 42
    assert kernel_part(double)(21) == 42
