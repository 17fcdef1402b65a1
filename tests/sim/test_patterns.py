"""Whole frames: positions, determinism, what a crystal adds, and the log likelihood ratio."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.maps import inverse_d
from cxlsfind.geometry.shipped import find_geometry
from cxlsfind.sim.background.settings import BackgroundSettings
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.detector import DETECTORS, GeometryDetector
from cxlsfind.sim.negatives import Negative, NegativeSettings
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator
from cxlsfind.sim.readout import ReadoutSettings
from cxlsfind.sim.sparse import SparseImage

#: The wavelength at 7 keV, with CODATA's constants.
WAVELENGTH = 1.23984198e-6 / 7000
SHARP = {"divergence_rad": 0.0, "mosaicity_rad": 0.0, "crystal_size_m": 50e-6}


@pytest.fixture(scope="module")
def crystal() -> Crystal:
    """Return lysozyme to 3.3 angstrom, with intensities of the default seed."""
    return load_crystal("lysozyme", d_min_m=3.3e-10)


def settings(crystal: Crystal, name: str = "Eiger1M", **changes: object) -> PatternSettings:
    return PatternSettings(DETECTORS[name], crystal, **changes)


def test_spots_are_where_crystfel_has_them(crystal):
    """Ray by ray from the truth's orientation and indices, to 0.01 px, on a shifted detector."""
    simulator = PatternSimulator(settings(crystal, "Eiger4M", centre_px=(1001.5, 1100.25), **SHARP))
    n_spots = 0
    for number in range(4):
        pattern = simulator.frame(number, with_crystal=True)
        w, x, y, z = pattern.orientation
        turn = np.array(
            [
                [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
            ]
        )
        axes = np.diag([1 / 79.1e-10, 1 / 79.1e-10, 1 / 37.9e-10])
        q = pattern.spots["hkl"] @ axes @ turn.T
        wavenumber = -(q**2).sum(axis=1) / (2 * q[:, 2])
        assert (np.abs(wavenumber * WAVELENGTH - 1) < 0.0052).all()
        outgoing = q + np.outer(wavenumber, (0, 0, 1))
        # CrystFEL: x = (corner_x + fs) / res, fs from the corner of the pixel.
        fs = outgoing[:, 0] / outgoing[:, 2] * 0.15 / 75e-6 + 1001.5
        ss = outgoing[:, 1] / outgoing[:, 2] * 0.15 / 75e-6 + 1100.25
        np.testing.assert_allclose(pattern.spots["fs"], fs, atol=0.01)
        np.testing.assert_allclose(pattern.spots["ss"], ss, atol=0.01)
        n_spots += len(fs)
    assert n_spots > 60


@pytest.mark.parametrize("name", ["Eiger4M", "EigerX4M"])
def test_shipped_geometries_are_the_named_detectors(name):
    geometry = read_geometry(find_geometry(name))
    from_file, named = GeometryDetector(name, geometry), DETECTORS[name]
    assert from_file.shape == named.shape
    assert from_file.beam_centre == pytest.approx(named.beam_centre)
    np.testing.assert_array_equal(from_file.gap_mask(), named.gap_mask())


def test_resolution_of_spots_by_the_geometry_of_the_project(crystal):
    """1/d of listed spots, from the project's own maps and the truth's indices."""
    geometry = read_geometry(find_geometry("Eiger4M"))
    detector = GeometryDetector("Eiger4M", geometry)
    simulator = PatternSimulator(PatternSettings(detector, crystal, **SHARP, bandwidth=0.001))
    spots = np.concatenate([simulator.spot_list(number) for number in range(12)])
    assert len(spots) > 15
    found = inverse_d(geometry, 0, spots["fs"], spots["ss"], wavelength_m=WAVELENGTH, clen_m=0.15)
    h, k, l = spots["hkl"].T  # noqa: E741
    expected = np.sqrt((h**2 + k**2) / 7.91**2 + l**2 / 3.79**2)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_frame_depends_on_seed_and_number_alone(crystal):
    chosen = settings(
        crystal,
        lattices=2.0,
        beam_spread=0.2,
        centre_spread_px=3.0,
        readout=ReadoutSettings(
            hot_pixels=20, twinkling_pixels=20, cosmics=2.0, charge_sharing=0.01
        ),
        negatives=NegativeSettings(0.5, 0.5, 0.5, 0.5),
        seed=9,
    )
    simulator = PatternSimulator(chosen)
    forward = [simulator.frame(number, with_crystal=True) for number in (0, 1, 2)]
    again = PatternSimulator(chosen).frame(1, with_crystal=True)
    np.testing.assert_array_equal(forward[1].counts, again.counts)
    np.testing.assert_array_equal(forward[1].spots, again.spots)
    assert forward[1].oracle_llr == again.oracle_llr
    assert (forward[0].counts != forward[1].counts).any()
    other = PatternSimulator(replace(chosen, seed=10)).frame(1, with_crystal=True)
    assert (other.counts != again.counts).any()


def test_a_crystal_adds_its_photons_and_changes_nothing_else(crystal):
    simulator = PatternSimulator(settings(crystal, readout=ReadoutSettings(pulses=0)))
    hit = simulator.frame(3, with_crystal=True)
    blank = simulator.frame(3, with_crystal=False)
    np.testing.assert_array_equal(hit.water_counts, blank.water_counts)
    np.testing.assert_array_equal(blank.counts, blank.water_counts)
    np.testing.assert_array_equal(hit.counts, hit.water_counts + hit.bragg_counts.dense())
    assert not len(blank.spots)
    assert np.isnan(blank.orientation).all()
    assert blank.oracle_llr == 0
    assert not hit.counts[~hit.usable].any()


def test_spots_hold_the_photons_that_the_truth_says(crystal):
    """Around each spot clear of others, gaps and the edge: all its photons, background beside."""
    simulator = PatternSimulator(
        settings(crystal, readout=ReadoutSettings(flat_field=0.0, dead_fraction=0.0))
    )
    checked = 0
    for number in range(6):
        pattern = simulator.frame(number, with_crystal=True)
        image = pattern.bragg_expected.dense().reshape(DETECTORS["Eiger1M"].shape)
        background = pattern.background.reshape(image.shape)
        usable = pattern.usable.reshape(image.shape)
        places = np.column_stack([pattern.spots["fs"], pattern.spots["ss"]])
        assert pattern.bragg_expected.index.dtype == np.int32
        assert pattern.bragg_expected.value.dtype == np.float32
        for spot, place in zip(pattern.spots, places, strict=True):
            fs, ss = int(place[0]), int(place[1])
            window = slice(max(ss - 14, 0), ss + 15), slice(max(fs - 14, 0), fs + 15)
            distance = np.linalg.norm(places - place, axis=1)
            if (
                usable[window].size < 29 * 29
                or not usable[window].all()
                or (distance < 40).sum() > 1
            ):
                continue
            assert image[window].sum() == pytest.approx(spot["photons"], rel=0.01, abs=0.02)
            rows, columns = np.nonzero(image[window] > 0)
            weights = image[window][rows, columns]
            centre = np.average(np.column_stack([columns, rows]) + 0.5, axis=0, weights=weights)
            corner = np.array([window[1].start, window[0].start])
            np.testing.assert_allclose(centre + corner, place, atol=0.05)
            assert spot["background"] == pytest.approx(background[ss, fs])
            checked += 1
    assert checked > 15


def test_photons_drawn_are_poisson_about_the_expected(crystal):
    simulator = PatternSimulator(settings(crystal, photons=3e9))
    drawn = expected = 0.0
    chi2 = []
    for number in range(12):
        pattern = simulator.frame(number, with_crystal=True)
        mean, count = pattern.bragg_expected.value.astype(float), pattern.bragg_counts.value
        drawn += count.sum()
        expected += mean.sum()
        bright = mean > 3
        chi2 += [(count[bright] - mean[bright]) ** 2 / mean[bright]]
    assert drawn == pytest.approx(expected, abs=4 * math.sqrt(expected))
    chi2 = np.concatenate(chi2)
    assert chi2.mean() == pytest.approx(1, abs=6 * math.sqrt(2 / len(chi2)))


def test_the_oracle_is_the_likelihood_ratio_of_the_truth(crystal):
    pattern = PatternSimulator(settings(crystal, negatives=NegativeSettings(ice_spots=1.0))).frame(
        2, with_crystal=True
    )
    signal = pattern.bragg_expected.dense().astype(float)
    rest = pattern.background.astype(float)
    chosen = signal > 0
    n, s, b = pattern.counts[chosen], signal[chosen], rest[chosen]
    expected = (n * np.log(1 + s / b) - s).sum()
    assert pattern.oracle_llr == pytest.approx(expected, rel=1e-9)
    assert pattern.oracle_llr > 100


def test_blanks_look_less_like_hits_than_hits_do(crystal):
    """The mean of exp(ratio) over blanks is one: its logarithm is hardly ever large."""
    weak = settings(crystal, photons=3e6)
    simulator = PatternSimulator(weak)
    hits = [simulator.frame(number, with_crystal=True).oracle_llr for number in range(25)]
    assert np.mean(hits) > 1
    assert np.mean(np.array(hits) > 0) > 0.6


@pytest.mark.parametrize("mean", [0.003, 0.2])
def test_the_mean_background_can_be_asked_for(crystal, mean):
    quiet = BackgroundSettings(mean=mean, spread=0.0, materials=(("lcp", 2e-5),), air_m=0.01)
    simulator = PatternSimulator(settings(crystal, background=quiet, beam_spread=0.0))
    pattern = simulator.frame(0, with_crystal=False)
    assert pattern.background[pattern.usable].mean() == pytest.approx(mean, rel=1e-3)
    n_usable = pattern.usable.sum()
    measured = pattern.counts[pattern.usable].mean()
    assert measured == pytest.approx(mean, abs=5 * math.sqrt(mean / n_usable))


def test_a_mean_of_nothing_is_refused(crystal):
    empty = BackgroundSettings(mean=0.1, water_m=0.0)
    with pytest.raises(UsageError, match="nothing scatters"):
        PatternSimulator(settings(crystal, background=empty))


def test_no_background_at_all_is_possible(crystal):
    for background in (BackgroundSettings(mean=0.0), BackgroundSettings(water_m=0.0)):
        simulator = PatternSimulator(settings(crystal, background=background))
        assert simulator.frame(0, with_crystal=False).counts.sum() < 5


def test_frames_vary_as_asked(crystal):
    chosen = settings(
        crystal,
        "Eiger500K",
        beam_spread=0.3,
        energy_spread=0.01,
        centre_spread_px=5.0,
        background=BackgroundSettings(spread=0.3),
    )
    simulator = PatternSimulator(chosen)
    frames = [simulator.frame(number, with_crystal=False) for number in range(60)]
    scale = np.log([frame.scale for frame in frames])
    assert scale.std() == pytest.approx(0.3, rel=0.3)
    energy = np.array([frame.photon_energy_ev for frame in frames])
    assert energy.std() == pytest.approx(70, rel=0.3)
    centre = np.array([frame.centre_px for frame in frames])
    assert centre.std(axis=0) == pytest.approx((5, 5), rel=0.35)
    assert centre.mean(axis=0) == pytest.approx(DETECTORS["Eiger500K"].beam_centre, abs=3)
    total = np.log([frame.counts.sum(dtype=float) for frame in frames])
    assert total.std() == pytest.approx(math.hypot(0.3, 0.3 * 0.8), rel=0.3)


def test_several_lattices_share_a_frame(crystal):
    simulator = PatternSimulator(settings(crystal, "Eiger500K", lattices=3.0))
    frames = [simulator.frame(number, with_crystal=True) for number in range(30)]
    numbers = [len(frame.orientations) for frame in frames]
    assert min(numbers) >= 1
    assert np.mean(numbers) == pytest.approx(3, abs=0.8)
    for frame in frames:
        np.testing.assert_allclose(np.linalg.norm(frame.orientations, axis=1), 1)
        np.testing.assert_array_equal(frame.orientation, frame.orientations[0])


def test_orientations_are_uniform(crystal):
    simulator = PatternSimulator(settings(crystal, "Eiger500K", lattices=200.0))
    turned = simulator.frame(0, with_crystal=True).orientations
    # The angle of a uniform rotation has density (1 - cos) / pi.
    angle = 2 * np.arccos(np.abs(turned[:, 0]))
    assert np.cos(angle).mean() == pytest.approx(-0.5, abs=0.15)
    assert np.abs(turned.T @ turned / len(turned) - np.eye(4) / 4).max() < 0.08


def test_crystals_beside_the_beam_scatter_less(crystal):
    def photons(offset: float) -> float:
        chosen = settings(crystal, "Eiger500K", offset_m=offset)
        simulator = PatternSimulator(chosen)
        return sum(simulator.spot_list(number)["photons"].sum() for number in range(40))

    assert photons(5e-6) < 0.8 * photons(0.0)


def test_negatives_are_no_spots_of_the_crystal(crystal):
    simulator = PatternSimulator(
        settings(
            crystal,
            negatives=NegativeSettings(ice_rings=1.0, salt=1.0),
            readout=ReadoutSettings(pulses=0),
        )
    )
    blank = simulator.frame(0, with_crystal=False)
    clean = PatternSimulator(settings(crystal)).frame(0, with_crystal=False)
    assert blank.negatives == Negative.ICE_RING | Negative.SALT
    assert not len(blank.spots)
    assert blank.impostors.value.sum() > 0
    assert blank.counts.sum() > clean.counts.sum()
    total = blank.background[blank.usable].sum(dtype=float)
    assert blank.counts.sum() == pytest.approx(total, rel=0.05)


def test_photons_of_impostors_are_told_without_the_frame(crystal):
    """Those of the frame that is made; images add where they share pixels and where not."""
    simulator = PatternSimulator(
        settings(crystal, photons=1e10, negatives=NegativeSettings(ice_spots=0.5, salt=1.0))
    )
    for number in range(3):
        pattern = simulator.frame(number, with_crystal=number == 1)
        told = simulator.impostor_photons(number)
        assert told == pytest.approx(pattern.impostors.value.sum(dtype=float), rel=1e-6)
    one = SparseImage(np.array([1, 4], np.int32), np.array([2.0, 3.0], np.float32), 6)
    other = SparseImage(np.array([0, 4], np.int32), np.array([5.0, 7.0], np.float32), 6)
    np.testing.assert_array_equal(one.plus(other).dense(), [5, 2, 0, 0, 10, 0])


def test_bright_pixels_stop_at_the_pulses(crystal):
    strong = settings(crystal, photons=1e12, readout=ReadoutSettings(pulses=10))
    pattern = PatternSimulator(strong).frame(0, with_crystal=True)
    assert pattern.counts.max() == 10
    assert pattern.bragg_counts.value.max() > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"photon_energy_ev": 100.0},
        {"clen_m": 0.0},
        {"photons": -1.0},
        {"polarisation": 1.5},
        {"lattices": 0.5},
        {"bandwidth": 0.0},
        {"crystal_size_m": math.inf},
        {"seed": -1},
        {"photons": 1e20},
        {"centre_px": (1e9, 0.0)},
        {"energy_spread": 1.0},
    ],
)
def test_numbers_without_a_meaning(crystal, wrong):
    with pytest.raises(UsageError):
        settings(crystal, **wrong)
