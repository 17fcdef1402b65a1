"""A simulated run on disk: its files agree with its truth."""

from __future__ import annotations

import h5py
import hdf5plugin  # noqa: F401  (registers the codec)
import numpy as np
import pytest

from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.frames import FrameSettings
from cxlsfind.sim.run import simulate_run
from cxlsfind.sim.truth import read_truth


def read_frame(run, event):
    path, _, row = event.partition("//")
    with h5py.File(run.files.master) as master:
        return master["entry/data"][path][int(row)]


def test_small_run_lists_its_master(small_run):
    assert small_run.list.read_text() == f"{small_run.files.master}\n"
    assert len(small_run.files.data) == 2


@pytest.mark.parametrize("frames_per_file", [0, 2, 1000])
def test_bright_spots_are_where_the_truth_says(tmp_path, tiny_detector, frames_per_file):
    settings = FrameSettings(tiny_detector, background=0.0, spots=2, photons=500, hit_fraction=0.6)
    run = simulate_run(tmp_path, settings, 5, frames_per_file=frames_per_file)
    truth = read_truth(run.truth)
    assert set(truth.files) == {run.files.master.name}
    assert truth.frames["label"].sum() == 3
    for number, event in enumerate(truth.events):
        frame = read_frame(run, event)
        photons = frame[frame != 65535].sum(dtype=float)
        expected = truth.spots_of(number)["photons"].sum()
        # Tails in gaps are lost, so the sum may fall short but not exceed.
        assert photons <= expected + 5 * np.sqrt(expected)
        for spot in truth.spots_of(number):
            fs, ss = int(spot["fs"]), int(spot["ss"])
            around = frame[max(ss - 1, 0) : ss + 2, max(fs - 1, 0) : fs + 2]
            assert around[around != 65535].sum(dtype=float) >= 0.3 * spot["photons"] - 5


def test_same_seed_same_bytes(tmp_path, tiny_detector):
    settings = FrameSettings(tiny_detector, seed=4)
    first = simulate_run(tmp_path / "a", settings, 3)
    second = simulate_run(tmp_path / "b", settings, 3)
    for one, other in ((first.files.data[0], second.files.data[0]), (first.truth, second.truth)):
        assert one.read_bytes() == other.read_bytes()


def test_spots_may_lie_on_a_lattice(tmp_path, tiny_detector):
    settings = FrameSettings(tiny_detector, on_lattice=True, hit_fraction=1, spots=50)
    truth = read_truth(simulate_run(tmp_path, settings, 1).truth)
    assert 2 <= len(truth.spots) <= 8


def test_geometry_describes_the_files(small_run):
    geometry = read_geometry(small_run.geometry)
    (panel,) = geometry.panels
    assert (panel.height, panel.width) == DETECTORS["Eiger1M"].shape
    assert (panel.corner_x, panel.corner_y) == (-514, -531)
    assert geometry.warnings == ()
    (mask,) = panel.masks
    with h5py.File(small_run.files.master) as master:
        assert master[mask.data].shape == DETECTORS["Eiger1M"].shape
