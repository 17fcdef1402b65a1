"""Models that come with cxlsfind: their files and cards, and what they may not do to spots."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.models.card import Card
from cxlsfind.models.files import SHIPPED_FOLDER, find_folder
from cxlsfind.models.peak_runner import PeakRunner
from cxlsfind.models.searched import judge_peaks, weigh_frame
from cxlsfind.sim.score import match_peaks
from cxlsfind.training.conditions import draw_settings
from cxlsfind.training.frames import FrameSource

FILE = SHIPPED_FOLDER / "artefacts" / "peak.pt"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shipped() -> PeakRunner:
    """Return the shipped peak model, which gave what its card says when it was loaded."""
    return PeakRunner(FILE, None, CPU)


def test_the_file_is_small_and_says_where_it_comes_from(shipped: PeakRunner) -> None:
    """By command, seed, commit and sizes it can be made again."""
    card: Card = shipped.card
    assert FILE.stat().st_size < 5e6
    seed = card.training["seed"]
    assert card.training["command"].startswith("cxlsfind-train peak ")
    assert card.training["command"].endswith(f"--seed {seed}")
    assert f"--epochs {card.training['epochs']} " in card.training["command"]
    assert re.fullmatch("[0-9a-f]{40}", card.training["commit"])
    assert card.metrics["epoch"] <= card.training["epochs"]
    assert card.calibration["spots"] > 50000
    assert card.licence == "BSD-3-Clause"


def test_no_model_is_used_unasked() -> None:
    """A file beside the named folders would be."""
    assert not list(SHIPPED_FOLDER.glob("*.pt"))
    assert [path.parent.name for path in SHIPPED_FOLDER.rglob("*.pt")] == ["artefacts"]


def test_names_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder here hides a shipped one of the same name."""
    monkeypatch.chdir(tmp_path)
    assert find_folder("artefacts") == FILE.parent
    assert find_folder("nowhere") == Path("nowhere")
    assert find_folder(str(tmp_path)) == tmp_path
    (tmp_path / "artefacts").mkdir()
    assert find_folder("artefacts") == Path("artefacts")


@pytest.mark.parametrize("hit_rate", [0.02, 0.2, 1.0])
def test_spots_as_sharp_as_a_pixel_stay(shipped: PeakRunner, hit_rate: float) -> None:
    """They look like hot pixels: many have three quarters of their photons in one."""
    settings = draw_settings(77_000_305, "clean")
    source = FrameSource(settings)
    flags = np.random.default_rng(2).random(64) < hit_rate
    flags[5] = True
    found = source.block(0, flags.tolist())
    frames = [source.searched(one) for one in found]
    spots = lost = sharp = 0
    for one, frame, verdicts in zip(found, frames, judge_peaks(shipped, frames), strict=True):
        weighed = weigh_frame(frame, verdicts, float(source.usable.sum()))
        places = np.column_stack([frame.peaks["fs"], frame.peaks["ss"]])[: frame.n_peaks]
        truth = np.column_stack([one.pattern.spots["fs"], one.pattern.spots["ss"]])
        mine = match_peaks(truth, places)
        mine = mine[mine >= 0]
        spots, lost = spots + len(mine), lost + int(weighed.is_artefact[mine].sum())
        counts = frame.patches.counts[mine].astype(float)
        sharp += int((counts[:, 5, 5] > 0.75 * counts[:, 3:8, 3:8].sum(axis=(1, 2))).sum())
    assert spots >= 10
    assert sharp > 0.3 * spots
    assert lost <= max(1, 0.03 * spots)
