"""The readable counterparts of kernels, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def naive_peakfinder8() -> ModuleType:
    """Return the pixel-by-pixel peak search."""
    return _load("naive_peakfinder8")


@pytest.fixture(scope="session")
def naive_photons() -> ModuleType:
    """Return the pixel-by-pixel photon lists."""
    return _load("naive_photons")


@pytest.fixture(scope="session")
def naive_lz4() -> ModuleType:
    """Return the byte-by-byte decoder."""
    return _load("naive_lz4")


@pytest.fixture(scope="session")
def naive_planes() -> ModuleType:
    """Return the pixel-by-pixel bit planes."""
    return _load("naive_planes")


@pytest.fixture(scope="session")
def naive_canvas() -> ModuleType:
    """Return the conversions between counts and bit planes on a canvas."""
    return _load("naive_canvas")
