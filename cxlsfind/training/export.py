"""From a checkpoint to a file that the main job can load: compiled, calibrated, checked."""

from __future__ import annotations

import hashlib
import math
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import torch
from torch import nn

import cxlsfind
from cxlsfind.errors import CxlsfindError, InputError
from cxlsfind.models.card import COUNT_TYPES, Card
from cxlsfind.models.hit import CANDIDATE_COLUMNS, FRAME_COLUMNS, MOST_CANDIDATES
from cxlsfind.models.loading import make_golden
from cxlsfind.models.torchscript import load_model, save_model, script_model
from cxlsfind.training.calibrate import (
    SPOTS_PER_PATCH,
    artefact_odds,
    measure_rates,
    spot_limit,
)
from cxlsfind.training.hit_data import peak_of, simulate_frames, trained_on
from cxlsfind.training.loop import CHECKPOINT_NAME, read_checkpoint
from cxlsfind.training.patches import LEVELS, PatchSimulator, join_patches
from cxlsfind.training.registry import restore_model
from cxlsfind.training.scenes import LONGEST, PIXEL_SIGMA_PX, WIDEST_PX
from cxlsfind.training.seeds import Part, seed_of
from cxlsfind.training.tables import spot_tables

#: Largest difference between a model and its compiled, saved and loaded form.
PARITY: Final = 1e-4

#: Sources of the simulations that models are trained on, beside the package ``sim``.
_SIMULATOR: Final = ("scenes.py", "patches.py", "null.py", "conditions.py", "mining.py")

Inputs = dict[str, npt.NDArray[Any]]


class ParityError(CxlsfindError):
    """A compiled model does not give what the model gives; a fault of this program."""


def export_checkpoint(
    folder: Path, path: Path, command: str, *, n_patches: int = 16000, n_frames: int = 1280
) -> tuple[Card, float]:
    """Export what a training left in a folder.

    Parameters
    ----------
    command
        Command that made the model, for its card.
    n_patches
        Weighted patches per background that tell which spots are found; the limit of a peak model
        is set with four spots for each.
    n_frames
        Frames that the limit of a hit model is set with.

    Returns
    -------
    The card as it was written, and the largest difference of any output between the model and
    what was loaded.

    Raises
    ------
    InputError
        There is no checkpoint, or of a model that is only a baseline.
    ParityError
        That difference is too large; no file is left.
    """
    state = read_checkpoint(folder / CHECKPOINT_NAME)
    if state["task"] not in ("peak", "hit"):
        raise InputError(
            f"{folder}: the task {state['task']!r} is a baseline that the main job does not use; "
            "train 'peak' or 'hit' to export it"
        )
    _, model = restore_model(state)
    best = min(state["rows"], key=lambda row: row["test_loss"])
    training = {
        "command": command,
        "seed": state["seed"],
        "epochs": len(state["rows"]) - 1,
        **state["notes"],
        **provenance(),
    }
    metrics = {name: value for name, value in best.items() if math.isfinite(value)}
    if state["task"] == "peak":
        card, golden = _peak_card(model, state["seed"], n_patches)
    else:
        card, golden = _hit_card(model, state, n_frames)
    return export_model(path, model, replace(card, training=training, metrics=metrics), golden)


def export_model(path: Path, model: nn.Module, card: Card, example: Inputs) -> tuple[Card, float]:
    """Compile a model, write it with its card, load it again and compare.

    Parameters
    ----------
    example
        Inputs of ``forward``: what the model says of them goes into the card.

    Returns
    -------
    As :func:`export_checkpoint`.
    """
    inputs = [torch.from_numpy(array) for array in example.values()]
    with torch.inference_mode():
        expected = model(*inputs)
    card = replace(card, golden=make_golden(example, expected))
    trial = path.with_name(path.name + ".trial")
    save_model(trial, script_model(model), card)
    loaded, _ = load_model(trial, torch.device("cpu"))
    worst = 0.0
    with torch.inference_mode():
        # More than once: TorchScript rewrites itself after its first calls.
        for _ in range(3):
            found = loaded(*inputs)
            worst = max(worst, *(_difference(a, b) for a, b in zip(expected, found, strict=True)))
    if not worst <= PARITY:
        trial.unlink()
        raise ParityError(f"{path}: outputs differ by {worst:.3g} after export, at most {PARITY:g}")
    trial.replace(path)
    return card, worst


def provenance() -> dict[str, str]:
    """Return commit and hash of the sources that make the training data."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    sources = [folder / name for name in _SIMULATOR]
    sources += sorted((folder.parent / "sim").rglob("*.py"))
    for source in sources:
        digest.update(source.read_bytes())
    return {"commit": _commit(folder), "simulator": digest.hexdigest()[:16]}


def _peak_card(model: nn.Module, seed: int, n_patches: int) -> tuple[Card, Inputs]:
    tables = spot_tables()
    simulator = PatchSimulator(tables, seed_of(seed, Part.THRESHOLDS), n_null=500)
    part = seed_of(seed, Part.CALIBRATE)
    rates = measure_rates(tables, part, n_patches)
    limit = spot_limit(model, rates, simulator.spots(SPOTS_PER_PATCH * n_patches, part))
    golden = seed_of(seed, Part.GOLDEN)
    few = join_patches([simulator.spots(4, golden), simulator.nuisances("track", 4, golden)])
    card = Card(
        task="peak",
        version=cxlsfind.__version__,
        inputs={name: ["n", 11, 11] for name in ("counts", "background", "mask")},
        dtypes=COUNT_TYPES,
        pixel_size_m=(50e-6, 180e-6),
        photon_energy_ev=(4000.0, 30000.0),
        background=LEVELS,
        least_pulses=300.0,
        priors={
            "spot_sigma_px": [PIXEL_SIGMA_PX[0], WIDEST_PX],
            "spot_length_over_width": [1.0, LONGEST],
            "photons_over_s50": [0.33, 300.0],
        },
        calibration=limit,
    )
    return card, {"counts": few.counts, "background": few.background, "mask": few.mask}


def _hit_card(model: nn.Module, state: dict[str, Any], n_frames: int) -> tuple[Card, Inputs]:
    peak = peak_of(state)
    kinds, salts = trained_on(state["notes"]["left_out"])
    frames = simulate_frames(
        n_frames, state["seed"], Part.CALIBRATE, kinds=kinds, salts=salts, peak=peak
    )
    card = Card(
        task="hit",
        version=cxlsfind.__version__,
        inputs={
            "candidates": ["n", MOST_CANDIDATES, len(CANDIDATE_COLUMNS)],
            "frames": ["n", len(FRAME_COLUMNS)],
        },
        dtypes=COUNT_TYPES,
        pixel_size_m=(50e-6, 180e-6),
        photon_energy_ev=(4000.0, 30000.0),
        background=(1e-4, 1.0),
        least_pulses=300.0,
        calibration=artefact_odds(model, frames),
    )
    return card, {"candidates": frames.candidates[:6], "frames": frames.frames[:6]}


def _difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).abs() / (1.0 + b.abs())).max())


def _commit(folder: Path) -> str:
    """Return the commit of the checkout; empty for an installed package."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
