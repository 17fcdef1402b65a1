"""Fixtures that several packages' tests share, and the environment all tests run in."""

from __future__ import annotations

import os
import signal
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _kernels_checksum() -> int:
    checksum = 0
    for source in sorted((ROOT / "cxlsfind" / "kernels").glob("*.py")):
        checksum = zlib.crc32(source.read_bytes(), checksum)
    return checksum


# Both are read at the first import of numpy and numba: hence before them. One thread, so that
# tests do not fight for cores; a compilation cache of its own for every state of the kernels,
# since numba overlooks changes in functions that a cached kernel calls.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault(
    "NUMBA_CACHE_DIR", str(ROOT / ".pytest_cache" / "numba" / f"{_kernels_checksum():08x}")
)

# Whoever starts the tests in the background, or under nohup, has these ignored, and programs that
# the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, signal.SIG_DFL)

import hypothesis  # noqa: E402
import pytest  # noqa: E402

# The machines that run the tests are shared, and kernels compile at their first call: how long one
# example takes says nothing.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

from cxlsfind.sim.detector import DETECTORS, Detector  # noqa: E402
from cxlsfind.sim.frames import FrameSettings  # noqa: E402
from cxlsfind.sim.run import SimulatedRun, simulate_run  # noqa: E402


@pytest.fixture(scope="session")
def root_dir() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of reference data beside the checkout; skip without it."""
    path = ROOT.parent / "shared"
    if not (path / "golden").is_dir():
        pytest.skip(f"no reference data in {path}")
    return path


@pytest.fixture(scope="session")
def tiny_detector() -> Detector:
    """Return a detector of 2 x 2 modules with gaps, 70 x 134 pixels."""
    return Detector("tiny", "Dectris EIGER2 Si tiny", (2, 2), module_shape=(32, 64), gap=(6, 6))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SimulatedRun:
    """Return a run of 10 EIGER2 1M frames in two data files: half of them with some 20 spots."""
    settings = FrameSettings(DETECTORS["Eiger1M"], spots=20, seed=7)
    return simulate_run(tmp_path_factory.mktemp("small_run"), settings, 10, frames_per_file=6)
