"""Runs of patterns: hits, files, truth, and tuned beams."""

from __future__ import annotations

from dataclasses import replace

import h5py
import hdf5plugin  # noqa: F401  (registers the codec)
import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.negatives import NegativeSettings
from cxlsfind.sim.pattern_run import PatternRun, RunSettings
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator
from cxlsfind.sim.readout import ReadoutSettings
from cxlsfind.sim.run import write_run
from cxlsfind.sim.spectrum import top_hat
from cxlsfind.sim.truth import read_truth
from cxlsfind.sim.tuning import tuned


@pytest.fixture(scope="module")
def patterns():
    """Return the physics of a small run."""
    return PatternSettings(
        DETECTORS["Eiger500K"],
        load_crystal("lysozyme", d_min_m=4e-10),
        centre_px=(500.0, 300.5),
        readout=ReadoutSettings(pulses=500),
        negatives=NegativeSettings(salt=0.5),
        seed=3,
    )


def written(folder, settings, **options):
    source = PatternRun(settings)
    records = (source.record(number) for number in range(settings.n_frames))
    return write_run(folder, source, records, **options)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.77, 1.0])
def test_any_stretch_has_its_share_of_hits(patterns, fraction):
    settings = RunSettings(patterns, 1000, fraction)
    hits = np.array([settings.is_hit(number) for number in range(1000)])
    assert abs(np.cumsum(hits) - fraction * np.arange(1, 1001)).max() <= 4
    longer = RunSettings(patterns, 5000, fraction)
    assert [longer.is_hit(number) for number in range(50)] == hits[:50].tolist()


def test_a_share_without_a_meaning(patterns):
    with pytest.raises(UsageError, match="share"):
        RunSettings(patterns, 10, 1.5)


def test_files_and_truth_agree(tmp_path, patterns):
    settings = RunSettings(patterns, 7, 0.6)
    run = written(tmp_path, settings, frames_per_file=3)
    truth = read_truth(run.truth)
    simulator = PatternSimulator(patterns)
    with h5py.File(run.files.master) as master:
        for number, event in enumerate(truth.events):
            path, _, row = event.partition("//")
            image = master["entry/data"][path][int(row)].ravel()
            is_hit = settings.is_hit(number)
            pattern = simulator.frame(number, with_crystal=is_hit)
            np.testing.assert_array_equal(image[pattern.usable], pattern.counts[pattern.usable])
            assert (image[~pattern.usable] == 65535).all()
            row_of = truth.frames[number]
            assert row_of["label"] == is_hit
            assert row_of["pulses"] == 500
            assert row_of["scale"] == pattern.scale
            assert row_of["oracle_llr"] == pattern.oracle_llr
            assert row_of["negatives"] == int(pattern.negatives)
            np.testing.assert_array_equal(row_of["centre"], pattern.centre_px)
            np.testing.assert_array_equal(row_of["orientation"], pattern.orientation)
            spots = truth.spots_of(number)
            np.testing.assert_array_equal(spots["photons"], pattern.spots["photons"])
            np.testing.assert_array_equal(spots["hkl"], pattern.spots["hkl"])
        detector = master["entry/instrument/detector"]
        assert detector["beam_center_x"][()] == 500
        assert detector["beam_center_y"][()] == np.float32(300.5)
    geometry = read_geometry(run.geometry)
    assert geometry.warnings == ()
    (panel,) = geometry.panels
    assert (panel.corner_x, panel.corner_y) == pytest.approx((-500, -300.5))


@pytest.mark.parametrize(("dtype", "sentinel"), [(np.uint8, 255), (np.uint32, 2**32 - 1)])
def test_other_depths_have_their_own_sentinel(tmp_path, patterns, dtype, sentinel):
    run = written(tmp_path, RunSettings(patterns, 1, 1.0, dtype))
    with h5py.File(run.files.data[0]) as file:
        image = file["entry/data/data"][0]
        assert image.dtype == dtype
        assert image.max() == sentinel


def test_the_truth_is_written_last(tmp_path, patterns):
    settings = RunSettings(patterns, 3)
    written(tmp_path, settings)
    source = PatternRun(settings)

    def broken():
        yield source.record(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path, source, broken())
    assert not (tmp_path / "truth.h5").exists()


def test_beams_are_tuned_to_spots_and_photons(patterns):
    still = replace(patterns, divergence_rad=0.0, mosaicity_rad=0.0, crystal_size_m=30e-6, seed=8)
    asked = tuned(still, spots=6, photons=40)
    simulator = PatternSimulator(asked)
    found = [simulator.spot_list(number) for number in range(400)]
    photons = np.concatenate(found)["photons"]
    # Spots of less than a tenth of a photon are not listed.
    assert len(photons) / 400 == pytest.approx(6, rel=0.1)
    assert photons.mean() == pytest.approx(40, rel=0.25)


@pytest.mark.parametrize("wish", [{"spots": 1e6}, {"spots": 0.0}, {"photons": -1.0}])
def test_wishes_that_no_beam_fulfils(patterns, wish):
    with pytest.raises(UsageError):
        tuned(patterns, **wish)


def test_spots_cannot_be_asked_of_a_given_spectrum(patterns):
    with pytest.raises(UsageError, match="spectrum is given"):
        tuned(replace(patterns, spectrum=top_hat(0.01)), spots=20)
