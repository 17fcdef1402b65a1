"""Frames for the benchmarks: counts drawn from a known background and known spots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.special import erf

from cxlsfind.finding.planes import PlaneMaker, bad_values, mask_words
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.records import PlaneFrame

FloatArray = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]

#: Pixels of an EIGER2 4M: to these all numbers of false peaks refer.
EIGER_SHAPE = (2162, 2068)

#: The experiment that frames are said to be of.
PHOTON_ENERGY_EV = 7000.0
CLEN_M = 0.15
PIXEL_M = 75e-6

#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM = math.sqrt(8.0 * math.log(2.0))


@dataclass(frozen=True, slots=True)
class SpotShape:
    """A Gaussian whose long axis points away from the beam centre; standard deviations, px."""

    long_px: float
    across_px: float

    @property
    def half(self) -> int:
        """Half the side of the window that holds practically all photons, px."""
        return max(5, math.ceil(3.5 * self.long_px))


ROUND = SpotShape(0.6, 0.6)


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """A one-panel detector of ``shape`` (ss, fs), with the gaps of an EIGER2 4M where they fit.

    ``centre`` is where the beam really is, (fs, ss) from the corner of pixel 0, and ``radius``
    the distance of every pixel from there; the geometry may be mistaken about it.
    """

    shape: tuple[int, int]
    geometry: Geometry
    layout: Layout
    centre: tuple[float, float]
    radius: FloatArray
    radius_bins: npt.NDArray[np.int32]
    usable: npt.NDArray[np.bool_]
    usable_words: npt.NDArray[np.uint64]
    maker: PlaneMaker

    def frame(self, counts: Counts) -> PlaneFrame:
        """Return counts as the frame that readers make of them."""
        return self.maker.from_array(counts, self.usable_words)

    @property
    def share(self) -> float:
        """Part of the usable pixels of an EIGER2 4M that this detector has."""
        whole = usable_pixels(EIGER_SHAPE)
        return float(np.count_nonzero(self.usable) / np.count_nonzero(whole))


def usable_pixels(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which pixels are not in a gap, shape (ss, fs)."""
    usable = np.ones(shape, np.bool_)
    for gap in range(1, 4):
        usable[gap * 512 + (gap - 1) * 38 : gap * 550] = False
    usable[:, 1028:1040] = False
    return usable


def make_detector(
    shape: tuple[int, int] = EIGER_SHAPE, *, offset_px: float = 0.0, bandwidth: float = 1e-8
) -> Detector:
    """Build a detector whose beam centre the geometry misses by ``offset_px`` along fs."""
    height, width = shape
    panel = Panel(
        name="p0",
        min_fs=0,
        max_fs=width - 1,
        min_ss=0,
        max_ss=height - 1,
        corner_x=-width / 2,
        corner_y=-height / 2,
        fs=(1.0, 0.0, 0.0),
        ss=(0.0, 1.0, 0.0),
        res=1.0 / PIXEL_M,
        adu_per_photon=1.0,
        adu_per_ev=None,
    )
    geometry = Geometry(
        file="bench.geom",
        text="",
        panels=(panel,),
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(PHOTON_ENERGY_EV),
        clen=Quantity(CLEN_M),
        bandwidth=bandwidth,
    )
    layout = build_layout(geometry, {slab_key(panel): shape})
    ss, fs = np.mgrid[0:height, 0:width] + 0.5
    believed = np.hypot(ss - height / 2, fs - width / 2)
    values = bad_values(geometry, layout)
    if values is None:
        raise RuntimeError("the benchmark's geometry calls small counts bad")
    return Detector(
        shape,
        geometry,
        layout,
        (width / 2 + offset_px, height / 2),
        np.hypot(ss - height / 2, fs - width / 2 - offset_px),
        np.floor(believed).astype(np.int32).ravel(),
        usable_pixels(shape).ravel(),
        mask_words(usable_pixels(shape).ravel()),
        PlaneMaker(height * width, values),
    )


def water_ring(radius: FloatArray, mean: float) -> FloatArray:
    """Return a background with a water ring and low-angle scatter, of this mean; flat."""
    shape = 1.0 + 3.0 * np.exp(-0.5 * ((radius - 700) / 120) ** 2) + 2.0 * np.exp(-radius / 150)
    ring: FloatArray = (mean / shape.mean() * shape).ravel()
    return ring


def draw_counts(
    generator: np.random.Generator,
    background: float | FloatArray,
    detector: Detector,
    *,
    scale: float = 1.0,
    spots: FloatArray | None = None,
    pulses: float = math.inf,
    shape: SpotShape = ROUND,
) -> tuple[Counts, FloatArray]:
    """Draw one frame.

    Parameters
    ----------
    background
        Photons per pixel, one number or one per pixel.
    spots
        Rows of (fs, ss, photons), positions from the corner of pixel 0.

    Returns
    -------
    Counts per pixel, and photons per spot that were drawn (that were expected, where pixels
    count one photon per pulse at most).
    """
    counts = np.empty(detector.usable.size, np.uint16)
    mean = np.atleast_1d(np.asarray(background, np.float64)) * scale
    photons = np.empty(0)
    if spots is not None:
        owner, pixel, expected = spot_pixels(spots, detector, shape)
        photons = spots[:, 2]
    seed = int(generator.integers(0, 2**63))
    if math.isfinite(pulses):
        if spots is not None:
            mean = np.broadcast_to(mean, counts.size).copy()
            np.add.at(mean, pixel, expected)
        _draw(mean, pulses, np.uint64(seed), counts)
    else:
        _draw(mean, pulses, np.uint64(seed), counts)
        if spots is not None:
            drawn = generator.poisson(expected)
            np.add.at(counts, pixel, drawn.astype(np.uint16))
            photons = np.bincount(owner, drawn, minlength=len(spots))
    counts[~detector.usable] = 0
    return counts, photons


@numba.njit(cache=True)
def _draw(mean, pulses, seed, counts):  # type: ignore[no-untyped-def]
    """Draw counts by inversion, from a number per pixel that SplitMix64 makes of its place."""
    first, odds = 0.0, 0.0
    last = -1.0
    many = math.isinf(pulses)
    for pixel in range(counts.size):
        here = mean[pixel] if mean.size > 1 else mean[0]
        if here != last:
            last = here
            first = math.exp(-here)
            odds = here if many else math.expm1(here / pulses)
        z = seed + np.uint64(pixel) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        uniform = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
        count = 0
        term = first
        while uniform >= term and term > 0.0:
            uniform -= term
            term *= odds / (count + 1.0) if many else odds * (pulses - count) / (count + 1.0)
            count += 1
        counts[pixel] = count


def spot_pixels(
    spots: FloatArray, detector: Detector, shape: SpotShape
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    """Return, pixel by pixel, the number of the spot, the pixel, and the photons expected."""
    half = shape.half
    middle = np.floor(spots[:, :2]).astype(np.int64)
    offset = spots[:, :2] - middle - 0.5
    angle = radial_angle(spots[:, :2], detector)
    shares = np.array(
        [spot_shares(shape, half, *offset[n], angle[n]) for n in range(len(spots))]
    ).reshape(len(spots), -1)
    steps = np.arange(-half, half + 1)
    height, width = detector.shape
    fs = middle[:, 0, None, None] + steps[None, None, :] + 0 * steps[None, :, None]
    ss = middle[:, 1, None, None] + steps[None, :, None] + 0 * steps[None, None, :]
    fs, ss = fs.reshape(len(spots), -1), ss.reshape(len(spots), -1)
    inside = (fs >= 0) & (fs < width) & (ss >= 0) & (ss < height)
    owner = np.broadcast_to(np.arange(len(spots))[:, None], inside.shape)
    return owner[inside], (ss * width + fs)[inside], (spots[:, 2, None] * shares)[inside]


def radial_angle(places: FloatArray, detector: Detector) -> FloatArray:
    """Return the direction away from the beam of places (fs, ss), rad from fs towards ss."""
    angle: FloatArray = np.arctan2(
        places[:, 1] - detector.centre[1], places[:, 0] - detector.centre[0]
    )
    return angle


def spot_shares(shape: SpotShape, half: int, fs: float, ss: float, angle_rad: float) -> FloatArray:
    """Return the share of a spot's photons in every pixel around the one it lies in.

    Parameters
    ----------
    half
        The window has ``2 * half + 1`` pixels a side.
    fs, ss
        Middle of the spot relative to the middle of that pixel, px.
    """
    edges = np.arange(-half, half + 2) - 0.5
    if shape.long_px == shape.across_px:
        scale = shape.long_px * math.sqrt(2.0)
        sides = [0.5 * np.diff(erf((edges - at) / scale)) for at in (ss, fs)]
        return np.outer(*sides)
    points = 5
    fine = (np.arange(len(edges[:-1]) * points) + 0.5) / points + edges[0]
    x, y = fine[None, :] - fs, fine[:, None] - ss
    along = x * math.cos(angle_rad) + y * math.sin(angle_rad)
    across = y * math.cos(angle_rad) - x * math.sin(angle_rad)
    density = np.exp(-0.5 * ((along / shape.long_px) ** 2 + (across / shape.across_px) ** 2))
    density /= 2.0 * math.pi * shape.long_px * shape.across_px * points**2
    side = 2 * half + 1
    shares: FloatArray = density.reshape(side, points, side, points).sum(axis=(1, 3))
    return shares


def scatter_places(
    generator: np.random.Generator, number: int, detector: Detector, apart_px: float = 16.0
) -> FloatArray:
    """Return random places (fs, ss), apart from each other and 6 px from gaps and edges."""
    height, width = detector.shape
    usable = detector.usable.reshape(detector.shape)
    cell = math.ceil(apart_px)
    taken: dict[tuple[int, int], tuple[float, float]] = {}
    while len(taken) < number:
        fs, ss = generator.uniform(8, width - 8), generator.uniform(8, height - 8)
        row, column = int(ss) // cell, int(fs) // cell
        near = [
            taken.get((row + down, column + across), (-99.0, -99.0))
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
        ]
        if all(max(abs(fs - a), abs(ss - b)) > apart_px for a, b in near):
            window = usable[int(ss) - 6 : int(ss) + 7, int(fs) - 6 : int(fs) + 7]
            if window.all():
                taken[row, column] = fs, ss
    return np.array(list(taken.values()))
