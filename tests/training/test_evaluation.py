"""Hit models and the paper's models are scored on their own kinds of data."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.datasets.catalog import read_catalog
from cxlsfind.datasets.naming import OVERLAY
from cxlsfind.datasets.selection import Selection
from cxlsfind.datasets.splits import read_split, split_by_selection, write_split
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.models.paper import sum_bins
from cxlsfind.models.peak import PeakModel
from cxlsfind.records import FRAME_FLAGS
from cxlsfind.sim.detector import Detector
from cxlsfind.training.conditions import draw_settings
from cxlsfind.training.efficiency import measure_efficiency
from cxlsfind.training.efficiency_frames import measure_frame_efficiency
from cxlsfind.training.evaluate_frames import evaluate_blanks, evaluate_frames
from cxlsfind.training.evaluate_hit import evaluate_hit
from cxlsfind.training.evaluate_paper import PaperModel, _count_marks, _squares, evaluate_paper
from cxlsfind.training.evaluation import EvaluationOptions, run_evaluation
from cxlsfind.training.hit_data import simulate_frames
from cxlsfind.training.hit_task import HitTask
from cxlsfind.training.loop import read_checkpoint
from cxlsfind.training.registry import restore_model
from cxlsfind.training.reports import Table
from cxlsfind.training.sessions import Options, run_training
from cxlsfind.training.tree_search import search_tree, weigh_choices

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
    assert "Trained on 12 frames that share possibly a crystal" in page.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="--tree"):
        run_evaluation(EvaluationOptions((tmp_path / "base",), tmp_path / "page"), said.append)


@pytest.fixture(scope="module")
def trained(simulated_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return trainings of the paper's models on one crystal, and a split: the other is the test."""
    entries = read_catalog(scan_tree(simulated_tree))
    held_out = Selection(crystals=frozenset({"lysozyme"}))
    folder = tmp_path_factory.mktemp("trained")
    split = folder / "split.json"
    write_split(split, split_by_selection(entries, held_out, ("crystal", "seed")))
    for name in ("binary", "energy", "clen", "heatmap"):
        options = Options(
            f"paper-{name}", folder / name, tree=simulated_tree, split=split, epochs=2, seed=2
        )
        run_training(options, lambda line: None)
    return folder, split


def tables_of(trained: tuple[Path, Path], tree: Path, *names: str) -> dict[str, Table]:
    """Return the tables about some of the models, by the section's title."""
    models = []
    for name in names:
        state = read_checkpoint(trained[0] / name / "checkpoint.pt")
        models.append(PaperModel(*restore_model(state), state))
    sections = evaluate_paper(models, tree, trained[1])
    assert all("share no crystal, no seed" in s.notes[0] for s in sections[: len(names)])
    return {section.title.split()[0]: section.tables[0] for section in sections}


def test_the_papers_models_beside_ours(simulated_tree: Path, trained: tuple[Path, Path]) -> None:
    """Same frames, each judged alone by the paper's models and searched in blocks by the finder."""
    tables = tables_of(trained, simulated_tree, "binary", "energy", "clen")
    binary = {row[0]: row[1:] for row in tables["paper-binary"].rows}
    assert binary["hits, all"][0] == "0.975"
    tree = scan_tree(simulated_tree)
    entries = [e for e in read_catalog(tree) if e.crystal == "lysozyme"]
    found = search_tree(tree, tuple(entries))
    images = FrameDataset(simulated_tree, names=read_split(trained[1]).test, branches=(OVERLAY,))
    _, model = restore_model(read_checkpoint(trained[0] / "binary" / "checkpoint.pt"))
    flux = {"3e+09": range(10), "3e+08": range(10, 20)}
    for group, here in (("all", range(20)), *((f"{n} photons", k) for n, k in flux.items())):
        for label, is_empty in (("hits", False), ("blanks taken for hits", True)):
            chosen = [k for k in here if entries[k].is_empty is is_empty]
            theirs = sum(model(sum_bins(images[k][OVERLAY][None])).item() > 0 for k in chosen)
            ours = sum(found[k].is_hit for k in chosen)
            cells = binary[f"{label}, {group}"]
            assert f"({theirs}/{len(chosen)})" in cells[1]
            assert f"({ours}/{len(chosen)})" in cells[2]
    energy = {row[0]: row[1:] for row in tables["paper-energy"].rows}
    # There is but one camera length; energies have as many frames each.
    assert "(10/20)" in energy["all"][4]
    assert "(20/20)" in {row[0]: row[5] for row in tables["paper-clen"].rows}["all"]
    told = [
        weigh_choices(one.profile, np.array([6e3, 8e3]), np.array([0.1]))[0].argmax()
        == (entry.photon_energy_ev == 8e3)
        for entry, one in zip(entries, found, strict=True)
    ]
    assert f"({sum(told)}/20)" in energy["all"][2]
    pipeline = {row[0]: row[1:] for row in tables["The"].rows}
    right = [
        is_told and one.is_hit
        for is_told, one, entry in zip(told, found, entries, strict=True)
        if not entry.is_empty
    ]
    assert f"({sum(right)}/12)" in pipeline["hits, all"][1]


def test_heat_maps_beside_the_finder(simulated_tree: Path, trained: tuple[Path, Path]) -> None:
    """Peaks marked of all there are, and what is marked on blanks."""
    table = tables_of(trained, simulated_tree, "heatmap")["paper-heatmap"]
    rows = {row[0]: row[1:] for row in table.rows}
    found, total = map(int, rows["peaks marked, all"][2].split("/"))
    assert 0.7 * total < found <= total
    parts = [rows[f"peaks marked, {n} photons"][2] for n in ("3e+09", "3e+08")]
    assert sum(int(part.split("/")[0]) for part in parts) == found
    assert float(rows["squares marked per blank, all"][2]) < 4.0


def test_marks_count_beside_a_peak_and_not_in_doubt() -> None:
    """A mark next to a peak finds it; marks next to doubt are neither right nor wrong."""
    peak, doubt, marks = np.zeros((3, 9, 9), bool)
    peak[1, 1] = peak[7, 7] = True
    doubt[1, 7] = True
    marks[2, 2] = marks[1, 6] = marks[5, 1] = True
    assert _count_marks(marks, peak, doubt) == (2, 1, 1)
    assert _squares(np.array([[4.5, 8.0], [3.9, 99.0]]), 4, (9, 9)).nonzero() == ([2], [1])


def test_hits_beside_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of frame, the limits, curves and reliability."""
    monkeypatch.setattr(
        "cxlsfind.training.evaluate_hit.simulate_frames", partial(simulate_frames, detector=TINY)
    )
    torch.manual_seed(1)
    model = HitTask().build().eval().requires_grad_(False)
    sections = evaluate_hit(model, {"seed": 1, "notes": {"left_out": ["NaCl", "peg"]}}, frames=96)
    tables = {table.title: table for section in sections for table in section.tables}
    rows = {row[0]: row for row in tables["By truth and kind"].rows}
    assert {"hit, all", "blank, all", "blank, clean", "neither, all"} <= set(rows)
    # The last column is of those that the finder calls hits.
    found, _, kept = rows["hit, all"][1:]
    assert found.split("(")[1].split("/")[0] == kept.split("/")[1].rstrip(")")
    assert {"By truth and kind, peg", "By truth and kind, NaCl"} <= set(tables)
    assert len(tables["Raised above one half"].rows) == len(FRAME_FLAGS)
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
    false, spots, by_rate = evaluate_frames(peak_model, 0.0, 32, 5).tables
    assert [row[0] for row in false.rows] == ["clean", "salt", "all"]
    assert all(row[-1] == str(63 + 51) for row in false.rows)
    assert [row[0] for row in spots.rows] == ["clean", "salt", "all", "together"]
    assert [row[0] for row in by_rate.rows] == ["2%", "20%", "100%"]
    # This model knows no artefacts.
    assert all(row[1] == row[2] for row in (*spots.rows, *by_rate.rows))
    assert spots.rows[-1][1] == str(sum(int(row[1]) for row in by_rate.rows))
    assert int(by_rate.rows[-1][1]) > int(by_rate.rows[0][1])
    # To this limit everything is an artefact.
    false, spots, _ = evaluate_frames(peak_model, -99.0, 32, 5).tables
    assert all(row[2].startswith("0.000") for row in false.rows)
    assert spots.rows[-1][2:4] == ("0", "100.00%")


def test_false_peaks_on_clean_blanks(
    monkeypatch: pytest.MonkeyPatch, peak_model: PeakModel
) -> None:
    """As many as asked for, but for the errors of their numbers; none where all are artefacts."""
    module = "cxlsfind.training.evaluate_frames"
    monkeypatch.setattr(f"{module}.draw_settings", partial(draw_settings, detector=TINY))
    monkeypatch.setattr(f"{module}.BACKGROUNDS", (0.1,))
    for limit, low, high in ((0.0, 0.7, 1.4), (-99.0, 0.0, 0.0)):
        ((_, *cells),) = evaluate_blanks(peak_model, limit, 64, 5).tables[0].rows
        alone, left = (float(part.split()[0]) for part in cells[-1].split(","))
        assert 0.7 < alone < 1.4
        assert low <= left <= high
        assert cells[-1].endswith("(1.00)")


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
