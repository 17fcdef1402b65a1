"""What can lie in the middle of a small patch: spots, and everything that is taken for one.

A scene is a stack of patches before counting: expected photons, counts that come from no photons
of the sample, what the finder believes of the background, and which pixels are usable. The
functions here put one kind of thing each into all patches of a scene.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erf, erfinv

FloatArray = npt.NDArray[np.float64]

#: Side of a scene; its middle pixel is ``HALF, HALF``.
SIDE: Final = 19
HALF: Final = 9


class PatchClass(IntEnum):
    """What a candidate is; the order of the peak model's class logits."""

    SPOT = 0
    NOISE = 1  #: background photons that came together by chance
    HOT_PIXEL = 2
    TRACK = 3  #: a charged particle: pixels in a row or a clump that count once each
    EXTENDED = 4  #: part of a ring, streak, shadow or anything wider than a spot
    EDGE = 5  #: lines beside gaps and masks that count more than their share


#: Standard deviation of the widest spots, px, and how much longer than wide others are at most.
WIDEST_PX: Final = 2.5
LONGEST: Final = 4.0

#: Share of the round spots that are as sharp as a pixel, and their standard deviation, px: many lie
#: in a single pixel, as what one hot pixel counts does.
_PIXEL_SHARE: Final = 0.02
PIXEL_SIGMA_PX: Final = (0.02, 0.25)

#: Parts that long, tailed and split spots are drawn in, as quantiles of their photons.
_PARTS: Final = (np.arange(11) + 0.5) / 11

#: A kind of nuisance that models are tested on but never trained on.
HELD_OUT: Final = "glitch"


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Patches before counting; arrays start with the number of patches, then [ss, fs].

    Parameters
    ----------
    level
        True background in the middle, photons per pixel, (n,).
    typical
        Photons of a spot that is found half of the time there, (n,).
    mean
        Expected photons, (n, 19, 19).
    extra
        Counts beside the photons, (n, 19, 19); int64.
    believed
        Background that the finder believes in, (n, 19, 19).
    usable
        (n, 19, 19); bool.
    centre
        Where the thing is, px (ss, fs) from the middle of the middle pixel, (n, 2).
    photons
        Expected photons of the spot, (n,); NaN for everything else.
    """

    level: FloatArray
    typical: FloatArray
    mean: FloatArray
    extra: npt.NDArray[np.int64]
    believed: FloatArray
    usable: npt.NDArray[np.bool_]
    centre: FloatArray
    photons: FloatArray

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.level)


def empty_scene(generator: np.random.Generator, level: FloatArray, typical: FloatArray) -> Scene:
    """Return patches with a background that rises gently to one side, and imperfect belief."""
    n = len(level)
    steps = np.arange(SIDE) - HALF
    slope = generator.normal(0.0, 0.004, (n, 2))
    tilt = slope[:, 0, None, None] * steps[:, None] + slope[:, 1, None, None] * steps
    mean = level[:, None, None] * np.exp(tilt)
    error = generator.normal(0.0, 0.02, n) * np.where(level < 0.1, 3.0, 1.0)
    centre = generator.uniform(-0.5, 0.5, (n, 2))
    return Scene(
        level=level,
        typical=typical,
        mean=mean,
        extra=np.zeros(mean.shape, np.int64),
        believed=mean * np.exp(error)[:, None, None],
        usable=np.ones(mean.shape, np.bool_),
        centre=centre,
        photons=np.full(n, np.nan),
    )


def mask_pixels(scene: Scene, generator: np.random.Generator, share: float) -> None:
    """Make gaps, edges and dead pixels in a share of the patches."""
    n = len(scene)
    kind = generator.choice(3, n, p=[1.0 - share, 0.6 * share, 0.4 * share])
    distance = generator.integers(1, 7, n) * generator.choice([-1, 1], n)
    is_column = generator.random(n) < 0.5
    steps = np.arange(SIDE) - HALF
    behind = np.where(
        (distance > 0)[:, None], steps >= distance[:, None], steps <= distance[:, None]
    )
    gap = np.where(is_column[:, None, None], behind[:, None, :], behind[:, :, None])
    dead = generator.random((n, SIDE, SIDE)) < 0.02
    dead[:, HALF, HALF] &= generator.random(n) < 0.3
    scene.usable[:] &= ~np.where((kind == 1)[:, None, None], gap, (kind == 2)[:, None, None] & dead)


def add_spots(scene: Scene, generator: np.random.Generator) -> None:
    """Put a Bragg spot of any shape into every patch, sometimes with another beside it.

    Most have within a factor of three of the photons that are needed to find them.
    """
    n = len(scene)
    near = generator.random(n) < 0.65
    factor = np.where(
        near,
        np.exp(generator.uniform(np.log(0.33), np.log(3.0), n)),
        np.exp(generator.uniform(np.log(0.5), np.log(300.0), n)),
    )
    scene.photons[:] = factor * scene.typical
    scene.mean[:] += spot_images(generator, scene.centre, scene.photons)
    paired = np.flatnonzero(generator.random(n) < 0.12)
    angle = generator.uniform(0.0, 2.0 * np.pi, len(paired))
    distance = generator.uniform(3.5, 9.0, len(paired))
    beside = scene.centre[paired] + (distance * np.array([np.sin(angle), np.cos(angle)])).T
    other = scene.photons[paired] * np.exp(generator.uniform(-1.5, 0.5, len(paired)))
    scene.mean[paired] += spot_images(generator, beside, other)


def spot_images(
    generator: np.random.Generator, centre: FloatArray, photons: FloatArray
) -> FloatArray:
    """Return expected photons of spots of random shape, (n, 19, 19).

    Round ones, ellipses, spots with a tail to one side (mosaic blocks, parallax), and spots that
    are split in two.

    Parameters
    ----------
    centre
        Mean position (ss, fs) from the middle pixel, (n, 2).
    photons
        Photons of each, (n,).
    """
    n = len(photons)
    kind = generator.choice(4, n, p=[0.4, 0.35, 0.15, 0.1])
    sharp = np.exp(generator.normal(np.log(0.52), 0.28, n)).clip(0.22, 1.0)
    # Some down to a single pixel: where beam and crystal are good it is all the blur there is.
    is_point = (kind == 0) & (generator.random(n) < _PIXEL_SHARE)
    sharp = np.where(is_point, _log_uniform(generator, *PIXEL_SIGMA_PX, n), sharp)
    narrow = _log_uniform(generator, 0.3, WIDEST_PX, n)
    wide = np.minimum(narrow * _log_uniform(generator, 1.0, LONGEST, n), WIDEST_PX)
    sigma = np.where(kind == 1, narrow, sharp)
    steps = np.zeros((n, len(_PARTS)))
    # Places along the line that hold equal parts of a Gaussian, of a tail, of two pieces.
    gaussian = np.sqrt(2.0) * erfinv(2.0 * _PARTS - 1.0)
    length = np.sqrt(np.maximum(wide**2 - narrow**2, 0.0))
    steps[kind == 1] = length[kind == 1, None] * gaussian
    share = generator.uniform(0.2, 0.7, n)[:, None]
    decay = _log_uniform(generator, 0.7, 3.0, n)[:, None]
    tail = -decay * np.log(np.minimum((1.0 - _PARTS) / share, 1.0))
    steps[kind == 2] = tail[kind == 2]
    apart = generator.uniform(1.5, 4.0, n)[:, None]
    pieces = np.where(generator.uniform(0.15, 0.5, n)[:, None] > _PARTS, apart, 0.0)
    steps[kind == 3] = pieces[kind == 3]
    return drawn_images(centre, sigma, steps, generator.uniform(0.0, 2.0 * np.pi, n), photons)


def drawn_images(
    centre: FloatArray,
    sigma: FloatArray,
    steps: FloatArray,
    angle: FloatArray,
    photons: FloatArray,
) -> FloatArray:
    """Return round spots that are repeated along a line, integrated over pixels, (n, 19, 19).

    Parameters
    ----------
    centre
        Mean position (ss, fs) from the middle pixel, (n, 2).
    sigma
        Standard deviation of the round spot, px, (n,).
    steps
        Where along the line equal parts of the photons are, px, (n, parts); any origin.
    angle
        Direction of the line from fs towards ss, rad, (n,).
    """
    drawn_out = np.ptp(steps, axis=1) > 0
    result = np.empty((len(photons), SIDE, SIDE))
    result[~drawn_out] = _round_images(centre[~drawn_out], sigma[~drawn_out])
    place = (steps - steps.mean(axis=1, keepdims=True))[drawn_out]
    along = np.column_stack([np.sin(angle), np.cos(angle)])[drawn_out]
    result[drawn_out] = np.mean(
        [
            _round_images(centre[drawn_out] + shift[:, None] * along, sigma[drawn_out])
            for shift in place.T
        ],
        axis=0,
    )
    return result * photons[:, None, None]


def add_hot_pixels(scene: Scene, generator: np.random.Generator) -> None:
    """Let one pixel fire by itself, sometimes with a neighbour."""
    n = len(scene)
    least = np.maximum(3.0, scene.typical)
    counts = least * np.exp(np.abs(generator.normal(0.0, 1.2, n)))
    bright = generator.random(n) < 0.1
    counts[bright] = np.exp(generator.uniform(np.log(300.0), np.log(60000.0), bright.sum()))
    number = np.arange(n)
    fired = generator.poisson(counts)
    scene.extra[number, HALF, HALF] += fired
    shared = np.flatnonzero(generator.random(n) < 0.15)
    step = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])[generator.integers(0, 4, len(shared))]
    share = generator.uniform(0.02, 0.25, len(shared))
    scene.extra[shared, HALF + step[:, 0], HALF + step[:, 1]] += generator.binomial(
        fired[shared], share
    )
    scene.centre[:] = 0.0


def add_tracks(scene: Scene, generator: np.random.Generator) -> None:
    """Let a charged particle pass: a photon counter counts it once in every pixel on its way.

    Straight tracks and wriggles; some pixels count twice, some miss it.
    """
    n = len(scene)
    n_steps = 36
    wriggles = generator.random(n) < 0.3
    angle = generator.uniform(0.0, 2.0 * np.pi, n)
    turn = np.where(wriggles, 0.35, 0.02)[:, None] * generator.normal(0.0, 1.0, (n, n_steps))
    heading = angle[:, None] + np.cumsum(turn, axis=1)
    path = np.cumsum(0.5 * np.stack([np.sin(heading), np.cos(heading)], axis=2), axis=1)
    # Those shorter than three pixels are spots, for all that a patch can tell.
    length = np.clip(generator.exponential(20.0, n) + 6.0, 6.0, n_steps).astype(np.int64)
    begin = path[np.arange(n), length // 2]
    path = path - begin[:, None, :] + scene.centre[:, None, :] + HALF
    pixels = np.clip(np.rint(path), 0, SIDE - 1).astype(np.int64)
    passed = np.zeros(scene.extra.shape, np.bool_)
    row = np.repeat(np.arange(n), n_steps)
    on_track = (np.arange(n_steps) < length[:, None]).ravel()
    flat = pixels.reshape(-1, 2)
    passed[row[on_track], flat[on_track, 0], flat[on_track, 1]] = True
    times = generator.choice([0, 1, 2, 3], passed.shape, p=[0.04, 0.88, 0.06, 0.02])
    # Where the background is high only heavily ionising particles stand out.
    heavy = np.rint(1.0 + scene.typical / 8.0 * generator.uniform(0.3, 2.0, n)).astype(np.int64)
    scene.extra[:] += passed * times * heavy[:, None, None]


def add_extended(scene: Scene, generator: np.random.Generator) -> None:
    """Put parts of rings, streaks, steps and broad humps into the patches.

    In some of them the finder knows a part of it.
    """
    n = len(scene)
    kind = generator.choice(4, n, p=[0.45, 0.25, 0.15, 0.15])
    angle = generator.uniform(0.0, 2.0 * np.pi, n)
    steps = np.arange(SIDE) - HALF
    ss = steps[:, None] - scene.centre[:, 0, None, None]
    fs = steps[None, :] - scene.centre[:, 1, None, None]
    across = fs * np.cos(angle)[:, None, None] + ss * np.sin(angle)[:, None, None]
    along = ss * np.cos(angle)[:, None, None] - fs * np.sin(angle)[:, None, None]
    radius = np.exp(generator.uniform(np.log(60.0), np.log(1500.0), n))
    curved = across + np.where(kind == 0, 0.5 / radius, 0.0)[:, None, None] * along**2
    width = np.where(
        kind == 0,
        np.exp(generator.uniform(np.log(0.6), np.log(4.0), n)),
        np.exp(generator.uniform(np.log(1.0), np.log(8.0), n)),
    )[:, None, None]
    line = np.exp(-0.5 * (curved / width) ** 2)
    step = (across > 0).astype(np.float64)
    hump = np.exp(-0.5 * (across**2 + along**2) / np.maximum(width, 2.5) ** 2)
    shape = np.where((kind < 2)[:, None, None], line, step)
    shape = np.where((kind == 3)[:, None, None], hump, shape)
    height = scene.typical / 6.5 * np.exp(generator.uniform(np.log(0.15), np.log(20.0), n))
    excess = height[:, None, None] * shape
    known = np.where(generator.random(n) < 0.5, generator.uniform(0.0, 0.95, n), 0.0)
    scene.mean[:] += excess
    scene.believed[:] += known[:, None, None] * excess


def add_edges(scene: Scene, generator: np.random.Generator) -> None:
    """Let the line of pixels beside a gap count more than its share."""
    n = len(scene)
    distance = generator.integers(1, 4, n) * generator.choice([-1, 1], n)
    is_column = generator.random(n) < 0.5
    steps = np.arange(SIDE) - HALF
    sign = np.sign(distance)
    behind = (steps[None, :] * sign[:, None]) >= np.abs(distance)[:, None]
    beside = (steps[None, :] * sign[:, None]) == np.abs(distance)[:, None] - 1
    gap = np.where(is_column[:, None, None], behind[:, None, :], behind[:, :, None])
    line = np.where(is_column[:, None, None], beside[:, None, :], beside[:, :, None])
    gap = np.broadcast_to(gap, scene.mean.shape)
    line = np.broadcast_to(line, scene.mean.shape)
    wide = generator.random(n) < 0.5
    # Pixels of double size, or lines that fire by themselves here and there.
    noisy = scene.typical / 3.0 * np.exp(generator.uniform(np.log(0.2), np.log(6.0), n))
    flicker = generator.gamma(0.7, 1.0, scene.mean.shape) * noisy[:, None, None]
    more = np.where(
        wide[:, None, None],
        scene.level[:, None, None] * generator.uniform(0.8, 3.5, n)[:, None, None],
        flicker,
    )
    scene.mean[:] += np.where(line, more, 0.0)
    scene.usable[:] &= ~gap


def add_glitches(scene: Scene, generator: np.random.Generator) -> None:
    """Let a piece of a row be read with counts that belong to no photons."""
    n = len(scene)
    first = HALF - generator.integers(0, 9, n)
    last = HALF + generator.integers(1, 9, n)
    steps = np.arange(SIDE)
    inside = (steps >= first[:, None]) & (steps <= last[:, None])
    height = np.maximum(1.0, scene.typical / 4.0 * generator.uniform(0.5, 3.0, n))
    row = generator.poisson(height[:, None], (n, SIDE)) * inside
    scene.extra[:, HALF, :] += row


#: How often each nuisance is trained on. Sick pixels that fire in many frames of a block are found
#: by that, before any model looks.
SHARES: Final = {"hot": 0.2, "track": 0.25, "extended": 0.35, "edge": 0.2, HELD_OUT: 0.25}

#: The nuisances that candidates are simulated with, by name.
NUISANCES: Final[dict[str, tuple[PatchClass, Callable[[Scene, np.random.Generator], None]]]] = {
    "hot": (PatchClass.HOT_PIXEL, add_hot_pixels),
    "track": (PatchClass.TRACK, add_tracks),
    "extended": (PatchClass.EXTENDED, add_extended),
    "edge": (PatchClass.EDGE, add_edges),
    HELD_OUT: (PatchClass.TRACK, add_glitches),
}


def _round_images(centre: FloatArray, sigma: FloatArray) -> FloatArray:
    edges = np.arange(SIDE + 1) - HALF - 0.5
    scale = sigma[:, None] * np.sqrt(2.0)
    along_ss = 0.5 * np.diff(erf((edges - centre[:, 0, None]) / scale), axis=1)
    along_fs = 0.5 * np.diff(erf((edges - centre[:, 1, None]) / scale), axis=1)
    images: FloatArray = along_ss[:, :, None] * along_fs[:, None, :]
    return images


def _log_uniform(
    generator: np.random.Generator, low: float, high: float, number: int
) -> FloatArray:
    return np.asarray(np.exp(generator.uniform(np.log(low), np.log(high), number)))
