"""Hit models and the paper's models are scored on their own kinds of data."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from cxlsfind.models.peak import PeakModel
from cxlsfind.sim.detector import Detector
from cxlsfind.training.conditions import draw_settings
from cxlsfind.training.efficiency import measure_efficiency
from cxlsfind.training.efficiency_frames import measure_frame_efficiency
from cxlsfind.training.evaluate_frames import evaluate_frames
from cxlsfind.training.evaluate_hit import evaluate_hit
from cxlsfind.training.evaluation import EvaluationOptions, run_evaluation
from cxlsfind.training.hit_data import simulate_frames
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.sessions import Options, run_training

TINY = Detector("tiny", "tiny", (1, 1), (200, 220))


def test_a_paper_model_from_training_to_page(small_tree: tuple[Path, Path], tmp_path: Path) -> None:
    """Trained on the tree's training frames, scored on its test frames, beside the paper."""
    tree, split = small_tree
    lines: list[str] = []
    options = Options("paper-base", tmp_path / "base", tree=tree, split=split, epochs=2)
    run_training(options, lines.append)
    assert len(lines) == 3
    said: list[str] = []
    page = run_evaluation(
        EvaluationOptions((tmp_path / "base",), tmp_path / "page", tree=tree, split=split),
        said.append,
    )
    assert "0.74" in said[0]
    assert "paper-base on 6 test frames" in page.read_text(encoding="utf-8")
    assert (tmp_path / "page" / "paper-base_confusion.png").is_file()
    with pytest.raises(ValueError, match="--tree"):
        run_evaluation(EvaluationOptions((tmp_path / "base",), tmp_path / "page"), said.append)


def test_hits_beside_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of frame, the limits, curves and reliability."""
    monkeypatch.setattr(
        "cxlsfind.training.evaluate_hit.simulate_frames", partial(simulate_frames, detector=TINY)
    )
    torch.manual_seed(1)
    model = HitTask().build().eval().requires_grad_(False)
    sections = evaluate_hit(model, {"seed": 1, "notes": {}}, frames=96)
    tables = {table.title: table for section in sections for table in section.tables}
    kinds = {row[0] for row in tables["By kind and truth"].rows}
    assert {"clean: blank", "salt: hit"} & kinds
    assert "By background" in tables
    # Before training the model leaves every hit that the limit lets it.
    assert len(sections[-1].figures) == 3


def test_whole_frames_with_and_without_a_model(
    monkeypatch: pytest.MonkeyPatch, peak_model: PeakModel
) -> None:
    """Counts of false peaks and of spots, by kind of frame."""
    module = "cxlsfind.training.evaluate_frames"
    monkeypatch.setattr(f"{module}.draw_settings", partial(draw_settings, detector=TINY))
    monkeypatch.setattr(f"{module}.FRAME_KINDS", ("clean", "salt"))
    (rows,) = (table.rows for table in evaluate_frames(peak_model, 0.0, 32, 5).tables)
    assert [row[0] for row in rows] == ["clean", "salt", "all"]
    assert all(row[-1] == "16 + 16" for row in rows)


def test_efficiency_in_whole_frames(monkeypatch: pytest.MonkeyPatch, peak_model: PeakModel) -> None:
    """Planted spots are found with the photons that the limit needs; artefacts lose them all."""
    module = "cxlsfind.training.efficiency_frames"
    monkeypatch.setattr(f"{module}.draw_settings", partial(draw_settings, detector=TINY))
    limits = [
        measure_efficiency(peak_model, 0.0, level, 4, n_spots=100, n_patches=800)
        for level in (1e-3, 0.03, 1.0)
    ]
    found = measure_frame_efficiency(peak_model, 0.0, limits, "clean", experiments=2, seed=1)
    assert found.spots == 2 * 16 * 27
    assert found.alone == pytest.approx(1.0, abs=0.1 + 3 * found.sigma)
    assert found.model == found.alone
    # To this limit everything is an artefact.
    found = measure_frame_efficiency(peak_model, -99.0, limits, "clean", experiments=1, seed=1)
    assert math.isnan(found.model)
    assert found.alone > 0.5
