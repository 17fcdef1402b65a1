"""Simulated candidates are candidates, and their truth is true."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.training.null import is_maximum, score_maps
from cxlsfind.training.patches import (
    DEEPEST,
    PatchSet,
    PatchSimulator,
    find_thresholds,
    join_patches,
    turn_patches,
)
from cxlsfind.training.scenes import PatchClass


@pytest.fixture(scope="module")
def sets(simulator: PatchSimulator) -> dict[str, PatchSet]:
    """Return some candidates of three kinds."""
    return {
        "spots": simulator.spots(300, 5),
        "noise": simulator.noise(200, 5),
        "track": simulator.nuisances("track", 200, 5),
    }


def test_candidates_are_local_maxima_above_the_threshold(
    simulator: PatchSimulator, sets: dict[str, PatchSet]
) -> None:
    """As the finder would have them."""
    for patches in sets.values():
        maps = score_maps(
            simulator.ratio, patches.counts, patches.background, patches.mask.astype(np.bool_)
        )
        # Noise is turned at random, and of equal maxima another is the first then.
        assert is_maximum(maps).mean() > (0.85 if patches is sets["noise"] else 0.99)
        needed = simulator.deep.at(patches.background[:, 5, 5])
        assert (maps[:, 2, 2] >= needed - 0.1).mean() > 0.98


def test_labels_and_truth(sets: dict[str, PatchSet]) -> None:
    """Spots have a place within two pixels and photons; nothing else has."""
    spots = sets["spots"]
    assert (spots.label == PatchClass.SPOT).all()
    assert (np.hypot(*spots.offset.T) <= 2.0).all()
    assert (spots.photons > 0).all()
    for name, label in (("noise", PatchClass.NOISE), ("track", PatchClass.TRACK)):
        assert (sets[name].label == label).all()
        assert np.isnan(sets[name].offset).all()
        assert np.isnan(sets[name].photons).all()
    for patches in sets.values():
        assert not (patches.counts * (1 - patches.mask)).any()
        assert patches.background.min() > 0


def test_bright_spots_lie_where_their_photons_are(sets: dict[str, PatchSet]) -> None:
    """The centroid of a bright round spot is its offset, fs first."""
    spots = sets["spots"]
    whole = spots.mask.all(axis=(1, 2)) & (spots.photons > 300)
    assert whole.sum() > 10
    steps = np.arange(11) - 5
    excess = spots.counts[whole] - spots.background[whole].astype(np.float64)
    box = excess[:, 2:9, 2:9]
    total = box.sum(axis=(1, 2))
    fs = (box.sum(axis=1) @ steps[2:9]) / total
    ss = (box.sum(axis=2) @ steps[2:9]) / total
    miss = np.column_stack([fs, ss]) - spots.offset[whole]
    assert np.median(np.abs(miss)) < 0.15


def test_seeds_settle_candidates(simulator: PatchSimulator, sets: dict[str, PatchSet]) -> None:
    """Equal seeds, equal candidates; others share none."""
    again = simulator.spots(300, 5)
    np.testing.assert_array_equal(again.counts, sets["spots"].counts)
    other = simulator.spots(300, 6)
    same = {patch.tobytes() for patch in other.counts if patch.sum() > 20}
    assert not any(patch.tobytes() in same for patch in again.counts)


def test_turning_keeps_patch_and_truth_together(sets: dict[str, PatchSet]) -> None:
    """Turned patches hold the same counts, and their spot moved along."""
    spots = sets["spots"].take(sets["spots"].photons > 300)
    turned = turn_patches(spots, np.random.default_rng(7))
    np.testing.assert_array_equal(
        np.sort(turned.counts.reshape(len(turned.label), -1)),
        np.sort(spots.counts.reshape(len(spots.label), -1)),
    )
    assert not np.array_equal(turned.counts, spots.counts)
    np.testing.assert_allclose(np.hypot(*turned.offset.T), np.hypot(*spots.offset.T), rtol=1e-5)
    steps = np.arange(11) - 5
    for patches in (spots, turned):
        box = patches.counts.astype(np.float64)
        fs = (box.sum(axis=1) @ steps) / box.sum(axis=(1, 2))
        assert np.median(np.abs(fs - patches.offset[:, 0])) < 0.3


def test_sets_are_joined_in_order(sets: dict[str, PatchSet]) -> None:
    """One after the other, every column."""
    joined = join_patches([sets["spots"], sets["noise"]])
    assert len(joined.label) == 500
    np.testing.assert_array_equal(joined.counts[300:], sets["noise"].counts)


def test_thresholds_rise_with_rarity(simulator: PatchSimulator) -> None:
    """One false peak per frame needs more than sixty."""
    rare = find_thresholds(simulator.tables, simulator.ratio, 1.0, 3, 300)
    level = np.array([0.03, 0.3, 3.0])
    assert (rare.at(level) > simulator.deep.at(level) + 2.0).all()
    assert (np.abs(rare.at(level) - 11.5) < 2.0).all()
    assert DEEPEST > 1.0
