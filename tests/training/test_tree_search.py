"""What the finder and the fit of rings say of the frames of a tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxlsfind.datasets.catalog import read_catalog
from cxlsfind.datasets.images import read_image, read_mask
from cxlsfind.datasets.naming import OVERLAY
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.models.ring_fit import RingProfile
from cxlsfind.training.ring_draws import draw_background
from cxlsfind.training.tree_search import choices, search_tree, weigh_choices


def test_frames_are_searched_one_by_one_or_in_blocks(simulated_tree: Path) -> None:
    """Bright crystals are hits and blanks are none; the profile holds all photons off the peaks."""
    tree = scan_tree(simulated_tree)
    entries = read_catalog(tree)[:10]
    found = search_tree(tree, entries)
    assert [one.is_hit for one in found] == [not entry.is_empty for entry in entries]
    usable = read_mask(tree.root / "mask.h5") == 0
    ss, fs = np.indices(usable.shape)
    alone = search_tree(tree, entries[3:4])[0]
    for entry, one in zip(entries, found, strict=True):
        image = read_image(entry.frame.paths[OVERLAY])
        far = np.ones(image.shape, bool)
        for x, y in one.peaks:
            far &= (abs(fs - int(x)) > 7) | (abs(ss - int(y)) > 7)
        # Candidates below the list are left out too: ten per frame at most, of 225 pixels each.
        n_far = np.count_nonzero(usable & far)
        assert n_far - 20 * 225 < one.profile.exposure.sum() <= n_far
        assert one.profile.photons.sum() <= image[usable & far].sum()
        seen = one.profile.exposure > 0
        mean = one.profile.photons.sum() / one.profile.exposure.sum()
        assert mean == pytest.approx(image[usable & far].mean(), rel=0.05)
        assert one.profile.radius_m[seen].max() < 75e-6 * np.hypot(*image.shape)
    assert alone.is_hit is found[3].is_hit


@pytest.mark.parametrize(("energy", "clen"), [(6000.0, 0.15), (8000.0, 0.15), (8000.0, 0.25)])
def test_one_of_a_few_conditions_is_told(energy: float, clen: float) -> None:
    """Where there are three of each only, a million photons tell; brightness changes nothing."""
    generator = np.random.default_rng(4)
    profile = draw_background(generator, energy, clen).draw(generator, 1e6)
    energies, clens = np.array([6000.0, 7000.0, 8000.0]), np.array([0.15, 0.25, 0.35])
    of_energy, of_clen = weigh_choices(profile, energies, clens)
    assert of_energy.sum() == pytest.approx(1.0)
    assert energies[of_energy.argmax()] == energy
    assert clens[of_clen.argmax()] == clen
    twice = RingProfile(profile.radius_m, profile.photons, 2.0 * profile.exposure)
    np.testing.assert_allclose(weigh_choices(twice, energies, clens)[0], of_energy, atol=1e-6)


def test_no_photons_say_nothing() -> None:
    """All choices stay as likely as they were."""
    generator = np.random.default_rng(4)
    profile = draw_background(generator, 7000.0, 0.15).draw(generator, 1e4)
    empty = RingProfile(profile.radius_m, 0.0 * profile.photons, profile.exposure)
    of_energy, of_clen = weigh_choices(empty, np.array([6e3, 7e3]), np.array([0.1, 0.2, 0.3]))
    assert of_energy.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(of_clen, 1 / 3)


def test_a_few_values_are_choices_and_many_a_range() -> None:
    """Three energies stay three; a hundred become steps from the least to the most."""
    assert choices(np.array([7e3, 6e3, 7e3, 8e3])).tolist() == [6e3, 7e3, 8e3]
    steps = choices(np.random.default_rng(1).uniform(0.1, 0.3, 100))
    assert np.ptp(np.diff(steps)) == pytest.approx(0.0, abs=1e-12)
    assert 0.1 <= steps[0] < 0.11
    assert 0.29 < steps[-1] <= 0.3
