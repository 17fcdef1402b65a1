"""Damaged chunks do no harm: the short form of ``tests/benchmarks/fuzz_decoder.py``."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "fuzz_decoder.py"


@pytest.fixture
def fuzz_decoder() -> ModuleType:
    """Return the script, as a module."""
    spec = importlib.util.spec_from_file_location("fuzz_decoder", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_decoder"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [0, secrets.randbits(32)])
def test_damaged_chunks(fuzz_decoder: ModuleType, naive_lz4: ModuleType, seed: int) -> None:
    accepted, refused = fuzz_decoder.fuzz(naive_lz4, seed, 4000)
    assert accepted > 40
    assert refused > 2000


def test_the_check_can_fail(fuzz_decoder: ModuleType, naive_lz4: ModuleType) -> None:
    """A byte-by-byte decoder that sees other pixels is noticed."""
    wrong = ModuleType("wrong")
    wrong.pack = naive_lz4.pack  # type: ignore[attr-defined]
    wrong.unpack = lambda *found: naive_lz4.unpack(*found) ^ 1  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="something else"):
        fuzz_decoder.fuzz(wrong, 1, 2000)
