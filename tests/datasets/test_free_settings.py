"""Settings of the simulator by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxlsfind.datasets.free_settings import apply_settings, parse_settings
from cxlsfind.datasets.simulation import Beam, PatternSimulation, build_settings, load_detector
from cxlsfind.errors import InputError, UsageError
from cxlsfind.geometry.crystfel import parse_geometry

BEAM = Beam(7000.0, 0.1, 1e9)


@pytest.fixture(scope="module")
def settings(recipe):
    return build_settings(recipe, "proteinase_k", BEAM)


def test_words_become_settings():
    words = ["bandwidth=0.02", "spectrum=gaussian", "background.water_m=5e-6", "bandwidth=0.03"]
    assert parse_settings(words) == (
        ("background.water_m", 5e-6),
        ("bandwidth", 0.03),
        ("spectrum", "gaussian"),
    )
    (materials,) = parse_settings(['background.materials=[["kapton", 1e-5]]'])
    assert materials == ("background.materials", (("kapton", 1e-5),))


@pytest.mark.parametrize("word", ["bandwidth", "=1", ""])
def test_what_is_no_setting(word):
    with pytest.raises(UsageError, match="write NAME=VALUE"):
        parse_settings([word])


def test_settings_reach_the_simulator(settings):
    changed = apply_settings(
        settings, (("bandwidth", 0.02), ("background.water_m", 0), ("readout.pulses", 7))
    )
    assert changed == replace(
        settings,
        bandwidth=0.02,
        background=replace(settings.background, water_m=0),
        readout=replace(settings.readout, pulses=7),
    )


def test_no_two_frames_of_a_tree_have_one_beam_centre_by_default(settings):
    assert settings.centre_spread_px > 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bandwith", 0.1, "there is no setting bandwith: expected one of .*bandwidth"),
        ("background.water", 0.1, "no setting background.water: expected one of water_m"),
        ("foreground.x", 1, "no part 'foreground'"),
        ("seed.x", 1, "no part 'seed'"),
        ("seed", 1, "own option"),
        ("crystal", "x", "own option"),
        ("background", 1, "has parts"),
        ("bandwidth", "wide", "expected a number"),
        ("bandwidth", True, "expected a number"),
        ("spectrum", 3, "expected a word"),
        ("readout.pulses", 1.5, "expected a whole number"),
        ("background.flight_in_air", 1, "expected true or false"),
        ("background.materials", "kapton", "expected a list"),
        ("background.materials", (1, 2), "background.materials is"),
        ("centre_px", (1,), "two of them"),
        ("mosaicity_rad", -1, "mosaicity_rad"),
    ],
)
def test_settings_that_cannot_be(settings, name, value, message):
    with pytest.raises(UsageError, match=message):
        apply_settings(settings, ((name, value),))


def test_detectors_are_found_by_name_and_by_geometry():
    assert load_detector("Eiger4M").shape == (2162, 2068)
    with pytest.raises(InputError, match="no_such"):
        load_detector("no_such")


def test_a_tree_of_the_detector_of_a_geometry_file(recipe, tmp_path):
    text = """photon_energy = 7000 eV
clen = 0.1
res = 13333.3
adu_per_photon = 1
a/min_fs = 0
a/max_fs = 99
a/min_ss = 0
a/max_ss = 199
a/corner_x = -50
a/corner_y = -150
a/fs = x
a/ss = y
b/min_fs = 105
b/max_fs = 199
b/min_ss = 0
b/max_ss = 199
b/corner_x = 60
b/corner_y = -150
b/fs = x
b/ss = y
"""
    (tmp_path / "two.geom").write_text(text)
    simulation = PatternSimulation(replace(recipe, detector=str(tmp_path / "two.geom")))
    assert simulation.usable().shape == (200, 200)
    assert not simulation.usable()[:, 100:105].any()
    images = simulation.frame(next(simulation.recipe.jobs()))
    assert images.water.any()
    assert not images.water[~simulation.usable()].any()
    written = parse_geometry(simulation.geometry(), file="tree.geom")
    assert [panel.corner_x for panel in written.panels] == [-50, 60]


def test_crystals_that_do_not_exist_are_refused(recipe):
    with pytest.raises(InputError, match="diamond: no crystal of that name"):
        build_settings(recipe, "diamond", BEAM)
