"""Spots hold their photons, and every nuisance leaves its mark."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.finding.poisson.scores import typical_photons
from cxlsfind.training.scenes import (
    HALF,
    NUISANCES,
    SIDE,
    PatchClass,
    Scene,
    add_spots,
    drawn_images,
    empty_scene,
    mask_pixels,
    spot_images,
)


def scene_of(seed: int, number: int = 60, level: float = 0.05) -> tuple[Scene, np.random.Generator]:
    generator = np.random.default_rng(seed)
    levels = np.full(number, level)
    return empty_scene(generator, levels, typical_photons(levels)), generator


def test_background_is_believed_almost_as_it_is() -> None:
    """Slopes and errors of belief are small."""
    scene, _ = scene_of(1)
    np.testing.assert_allclose(scene.mean[:, HALF, HALF], 0.05)
    assert 0.01 < np.std(scene.believed[:, HALF, HALF] / 0.05) < 0.2
    assert scene.usable.all()
    assert not scene.extra.any()


def test_drawn_out_spots_hold_their_photons_and_place() -> None:
    """Round, long and lopsided spots: sum, centroid, and spread along the line."""
    centre = np.array([[0.3, -0.2], [0.0, 0.4], [0.1, 0.1]])
    steps = np.array([[0.0] * 5, [-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0, 4.0]])
    images = drawn_images(centre, np.full(3, 0.6), steps, np.zeros(3), np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [10, 20, 30], rtol=0.01)
    steps = np.arange(SIDE) - HALF
    for image, (ss, fs) in zip(images, centre, strict=True):
        share = image / image.sum()
        assert share.sum(axis=1) @ steps == pytest.approx(ss, abs=0.02)
        assert share.sum(axis=0) @ steps == pytest.approx(fs, abs=0.02)
    along = images[1].sum(axis=0) / 20 @ (steps - 0.4) ** 2
    across = images[1].sum(axis=1) / 20 @ steps**2
    assert along > 3 * across


def test_spots_have_all_shapes() -> None:
    """Round and long, sharp and wide, lopsided and not, around the centre that is said."""
    generator = np.random.default_rng(6)
    n = 3000
    centre = generator.uniform(-0.5, 0.5, (n, 2))
    images = spot_images(generator, centre, np.full(n, 50.0))
    share = images / images.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(np.median(images.sum(axis=(1, 2))), 50.0, rtol=0.01)
    steps = np.arange(SIDE) - HALF
    ss, fs = share.sum(axis=2) @ steps, share.sum(axis=1) @ steps
    assert np.quantile(np.abs(np.column_stack([ss, fs]) - centre), 0.95) < 0.1
    off_ss, off_fs = steps - ss[:, None], steps - fs[:, None]
    spread = np.empty((n, 2, 2))
    spread[:, 0, 0] = (share.sum(axis=2) * off_ss**2).sum(axis=1)
    spread[:, 1, 1] = (share.sum(axis=1) * off_fs**2).sum(axis=1)
    spread[:, 0, 1] = spread[:, 1, 0] = np.einsum("nij,ni,nj->n", share, off_ss, off_fs)
    narrow, wide = np.sqrt(np.linalg.eigvalsh(spread)).T
    assert 0.15 < (wide > 2.0 * narrow).mean() < 0.6
    assert narrow.min() < 0.45
    # A few are points: all photons are in one pixel.
    assert 0.001 < (share.max(axis=(1, 2)) > 0.99).mean() < 0.02
    assert np.quantile(wide, 0.99) > 2.0
    # Half of those that are drawn out have a tail or a piece to one side.
    thirds = [
        np.einsum("ni,ni->n", share.sum(axis=axis), off**3)
        for axis, off in ((2, off_ss), (1, off_fs))
    ]
    skew = np.hypot(*thirds) / np.maximum(wide, 0.1) ** 3
    assert 0.1 < (skew > 0.5).mean() < 0.6


def test_spots_are_where_they_say() -> None:
    """Their photons, mostly near what is needed to find them, lie around their centres."""
    scene, generator = scene_of(2, 400)
    empty = scene.mean.copy()
    add_spots(scene, generator)
    gained = scene.mean - empty
    near = np.median(scene.photons / scene.typical)
    assert 0.5 < near < 5.0
    assert np.isfinite(scene.photons).all()
    middle = gained[:, HALF - 4 : HALF + 5, HALF - 4 : HALF + 5].sum(axis=(1, 2))
    assert np.median(middle / scene.photons) > 0.9


@pytest.mark.parametrize("kind", sorted(NUISANCES))
def test_nuisances_add_something_but_no_spot(kind: str) -> None:
    """Each puts photons or counts near the middle, and no truth of a spot."""
    scene, generator = scene_of(3)
    empty = scene.mean.copy()
    label, add = NUISANCES[kind]
    add(scene, generator)
    assert label > PatchClass.NOISE
    added = (scene.mean - empty + scene.extra)[:, HALF - 4 : HALF + 5, HALF - 4 : HALF + 5]
    assert (added.sum(axis=(1, 2)) > 0).mean() > 0.9
    assert np.isnan(scene.photons).all()


def test_masks_have_gaps_and_dead_pixels() -> None:
    """About the asked share of the patches misses pixels."""
    scene, generator = scene_of(4, 500)
    mask_pixels(scene, generator, 0.4)
    broken = ~scene.usable.all(axis=(1, 2))
    assert 0.3 < broken.mean() < 0.5


def test_the_seed_settles_everything() -> None:
    """Equal seeds, equal scenes; others, others."""
    first, second, third = (scene_of(seed) for seed in (5, 5, 6))
    for scene, generator in (first, second, third):
        add_spots(scene, generator)
    np.testing.assert_array_equal(first[0].mean, second[0].mean)
    assert not np.array_equal(first[0].mean, third[0].mean)
