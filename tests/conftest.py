"""Fixtures that several packages' tests share, and the environment all tests run in."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from dataclasses import replace
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


@pytest.fixture(scope="session")
def make_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that exports an untrained peak and hit model to a new folder.

    Untrained models say what the statistics say. Arguments: ``peak_bias`` and ``hit_bias``, added
    to the log odds of an artefact, ``peak_noise``, by which those of peaks differ, and changes of
    both cards.
    """
    import numpy as np
    import torch

    from cxlsfind.models.card import COUNT_TYPES, Card
    from cxlsfind.models.hit import CANDIDATE_COLUMNS, FRAME_COLUMNS, MOST_CANDIDATES
    from cxlsfind.models.likelihood import LikelihoodRatio
    from cxlsfind.models.peak import PeakModel
    from cxlsfind.records import PEAK_CLASSES
    from cxlsfind.training.export import export_model
    from cxlsfind.training.hit_task import HitTask
    from cxlsfind.training.patches import LEVELS, find_thresholds
    from cxlsfind.training.tables import spot_tables

    torch.set_num_threads(1)
    tables = spot_tables()
    reference = find_thresholds(tables, LikelihoodRatio(tables), 1.0, 3, 500)
    scores = reference.at(np.exp(tables.log_background)).tolist()
    peak_card = Card(
        task="peak",
        version="0.0",
        inputs={},
        dtypes=COUNT_TYPES,
        pixel_size_m=(50e-6, 180e-6),
        photon_energy_ev=(4000.0, 30000.0),
        background=LEVELS,
        least_pulses=300.0,
        calibration={"artefact_odds": 0.0},
        metrics={"test_loss": 0.5},
    )
    hit_card = replace(
        peak_card,
        task="hit",
        training={"peak": "peak.pt"},
    )
    generator = np.random.default_rng(1)
    patches = {
        "counts": generator.poisson(0.3, (4, 11, 11)).astype(np.uint16),
        "background": np.full((4, 11, 11), 0.3, np.float32),
        "mask": np.ones((4, 11, 11), np.uint8),
    }
    frames = {
        "candidates": generator.random((2, MOST_CANDIDATES, len(CANDIDATE_COLUMNS))).astype("f4"),
        "frames": generator.random((2, len(FRAME_COLUMNS))).astype(np.float32),
    }

    def make(
        peak_bias: float = 0.0, hit_bias: float = 0.0, peak_noise: float = 0.0, **changes: object
    ) -> Path:
        folder = tmp_path_factory.mktemp("models")
        torch.manual_seed(2)
        peak, hit = PeakModel(tables, scores), HitTask().build()
        with torch.no_grad():
            # Of what is no spot, only extended things may be all that there is in a frame.
            row = PEAK_CLASSES.index("extended") - 1
            peak.answer.bias[row] += peak_bias
            peak.answer.weight[row] += peak_noise * torch.randn_like(peak.answer.weight[row])
            hit.answer.bias[0] += hit_bias
        for name, model, card, example in (
            ("peak.pt", peak, peak_card, patches),
            ("hit.pt", hit, hit_card, frames),
        ):
            model = model.eval().requires_grad_(False)
            export_model(folder / name, model, replace(card, **changes), example)
        return folder

    return make


@pytest.fixture(scope="session")
def untrained_models(make_models: Callable[..., Path]) -> Path:
    """Return a folder with untrained models, which say what the statistics say."""
    return make_models()
