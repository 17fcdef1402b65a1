"""The beam centre, from the background's roundness and from Friedel pairs."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.errors import UsageError
from cxlsfind.models.centre import (
    BeamCentre,
    centre_from_pairs,
    centre_from_sectors,
    combine_centres,
)
from cxlsfind.training.centre_draws import draw_peaks, draw_sectors
from cxlsfind.training.ring_draws import draw_background

TRUE = (3.3, -2.1)


def sectors(
    generator: np.random.Generator, photons: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Count photons of a polarised water ring by ring and sector of a detector with gaps."""
    y, x = np.mgrid[-540:540, -517:517] * 2.0
    radius, angle = np.hypot(x - TRUE[0], y - TRUE[1]), np.arctan2(y - TRUE[1], x - TRUE[0])
    mean = 1 + 3 * np.exp(-0.5 * ((radius - 700) / 220) ** 2) + 2 * np.exp(-radius / 150)
    mean *= 1 - 0.1 * (radius / 1500) ** 2 * np.cos(2 * angle)
    usable = np.ones(mean.shape)
    usable[256:275] = usable[531:550] = usable[806:825] = 0.0
    usable[:, 514:520] = 0.0
    mean = mean * usable
    counts = generator.poisson(photons * mean / mean.sum())
    ring = np.minimum(np.hypot(x, y) / 10, 149).astype(int)
    sector = ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 24).astype(int) % 24
    place = (ring * 24 + sector).ravel()
    sums = [
        np.bincount(place, w.ravel(), 3600).reshape(150, 24)
        for w in (counts, usable, usable * np.hypot(x, y), usable * np.arctan2(y, x))
    ]
    pixels = np.maximum(sums[1], 1.0)
    return sums[0], sums[1], sums[2] / pixels, sums[3] / pixels


def test_centre_from_the_background() -> None:
    """Ten million photons tell it to a few tenths of a pixel, through polarisation and gaps."""
    found = centre_from_sectors(*sectors(np.random.default_rng(1), 1e7))
    assert found is not None
    assert found.is_off
    assert found.sigma_x < 0.4
    assert abs(found.x - TRUE[0]) < 4 * found.sigma_x
    assert abs(found.y - TRUE[1]) < 4 * found.sigma_y


def test_no_photons_no_centre() -> None:
    """A few photons tell nothing; arrays must belong together."""
    photons, exposure, radius, angle = sectors(np.random.default_rng(2), 1e5)
    assert centre_from_sectors(photons * 0.0, exposure, radius, angle) is None
    with pytest.raises(UsageError, match="one row per ring"):
        centre_from_sectors(photons, exposure, radius[1:], angle)


def frames(generator: np.random.Generator, number: int, pairs: bool) -> list[np.ndarray]:
    """Return peaks of frames, some in pairs on opposite sides of the beam."""
    made = []
    for _ in range(number):
        peaks = generator.normal(0, 350, (20, 2))
        if pairs:
            stretch = 1 + generator.normal(0, 0.003, (6, 1))
            peaks = np.concatenate([peaks, -peaks[:6] * stretch])
        made.append(peaks + generator.normal(0, 0.3, peaks.shape) + TRUE)
    return made


def test_centre_from_pairs() -> None:
    """Ten frames of 26 peaks: within half a pixel, with an honest error."""
    misses = []
    for seed in range(10):
        found = centre_from_pairs(frames(np.random.default_rng(seed), 10, pairs=True))
        assert found is not None
        misses.append((found.x - TRUE[0], found.y - TRUE[1]))
        assert found.sigma_x < 0.3
    assert np.abs(misses).max() < 0.5


def test_errors_of_pairs_are_honest() -> None:
    """One frame of ten pairs and ten other peaks: errors are those that are said."""
    generator = np.random.default_rng(5)
    pulls = []
    for _ in range(40):
        found = centre_from_pairs([draw_peaks(generator, 10, 10, TRUE)])
        assert found is not None
        pulls += [(found.x - TRUE[0]) / found.sigma_x, (found.y - TRUE[1]) / found.sigma_y]
    # The mean of eighty squares is between 0.64 and 1.45 with 99 % probability.
    assert 0.64 < np.mean(np.square(pulls)) < 1.45


def test_errors_of_the_background_are_honest() -> None:
    """A background of water, air and buffer: errors are those that are said, to 1e8 photons."""
    generator = np.random.default_rng(6)
    pulls = []
    for photons in (1e5, 1e6, 1e7, 1e8) * 5:
        background = draw_background(generator, generator.uniform(6000, 8000), 0.15)
        found = centre_from_sectors(*draw_sectors(generator, background, photons, TRUE, 0.9))
        assert found is not None
        pulls += [(found.x - TRUE[0]) / found.sigma_x, (found.y - TRUE[1]) / found.sigma_y]
    # The mean of forty squares is between 0.52 and 1.67 with 99 % probability.
    assert 0.52 < np.mean(np.square(pulls)) < 1.67


@pytest.mark.parametrize(
    ("centre", "is_off"),
    [
        (BeamCentre(1.5, 0.0, 0.1, 0.1), True),
        (BeamCentre(1.5, 0.0, 1.0, 1.0), False),
        (BeamCentre(0.5, 0.5, 0.1, 0.1), False),
        (BeamCentre(0.8, -0.8, 0.2, 0.2), True),
    ],
)
def test_alarm(centre: BeamCentre, is_off: bool) -> None:
    """Farther than a pixel, and not by chance."""
    assert centre.is_off is is_off


def test_no_pairs_no_centre() -> None:
    """Spots that are not in pairs have no centre, nor have too few of them."""
    assert centre_from_pairs(frames(np.random.default_rng(3), 100, pairs=False)) is None
    assert centre_from_pairs([np.zeros((1, 2))]) is None
    assert centre_from_pairs([]) is None


def test_combination_weighs_by_errors() -> None:
    """The better one counts more; nothing comes of nothing."""
    both = combine_centres([BeamCentre(0, 0, 1.0, 1.0), None, BeamCentre(2, 2, 1.0, 2.0)])
    assert both is not None
    assert both.x == pytest.approx(1.0)
    assert both.y == pytest.approx(0.4)
    assert both.sigma_x == pytest.approx(np.sqrt(0.5))
    assert combine_centres([None]) is None
