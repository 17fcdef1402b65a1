"""Frames for the benchmarks: counts drawn from a known background and known spots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.records import PhotonFrame

FloatArray = npt.NDArray[np.float64]

#: Pixels of an EIGER2 4M: to these all numbers of false peaks refer.
EIGER_SHAPE = (2162, 2068)
SPOT_SIGMA_PX = 0.6

_NOWHERE = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """A one-panel detector of ``shape`` (ss, fs), with the gaps of an EIGER2 4M where they fit."""

    shape: tuple[int, int]
    geometry: Geometry
    layout: Layout
    radius: FloatArray
    usable: npt.NDArray[np.bool_]

    @property
    def radius_bins(self) -> npt.NDArray[np.int32]:
        return np.floor(self.radius).astype(np.int32).ravel()


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
        res=1.0 / 75e-6,
        adu_per_photon=1.0,
        adu_per_ev=None,
    )
    geometry = Geometry(
        file="bench.geom",
        text="",
        panels=(panel,),
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(7000.0),
        clen=Quantity(0.15),
        bandwidth=bandwidth,
    )
    ss, fs = np.mgrid[0:height, 0:width]
    radius = np.hypot(ss - height / 2 + 0.5, fs - width / 2 + 0.5 - offset_px)
    usable = np.ones(shape, np.bool_)
    for gap in range(1, 4):
        usable[gap * 512 + (gap - 1) * 38 : gap * 550] = False
    usable[:, 1028:1040] = False
    return Detector(
        shape, geometry, build_layout(geometry, {slab_key(panel): shape}), radius, usable.ravel()
    )


def water_ring(radius: FloatArray, mean: float) -> FloatArray:
    """Return a background with a water ring and low-angle scatter, of this mean; flat."""
    shape = 1.0 + 3.0 * np.exp(-0.5 * ((radius - 700) / 120) ** 2) + 2.0 * np.exp(-radius / 150)
    ring: FloatArray = (mean / shape.mean() * shape).ravel()
    return ring


def draw_frame(
    generator: np.random.Generator,
    background: float | FloatArray,
    detector: Detector,
    *,
    scale: float = 1.0,
    spots: FloatArray | None = None,
    pulses: float = math.inf,
    sigma_px: float = SPOT_SIGMA_PX,
) -> PhotonFrame:
    """Draw one frame.

    Parameters
    ----------
    background
        Photons per pixel, one number or one per pixel.
    spots
        Rows of (fs, ss, photons), positions from the corner of pixel 0.
    """
    n_pixels = detector.usable.size
    mean = np.broadcast_to(np.asarray(background, np.float64) * scale, n_pixels)
    if math.isfinite(pulses):
        mean = mean.copy()
        if spots is not None:
            pixel, photons = spot_pixels(spots, detector.shape, sigma_px)
            np.add.at(mean, pixel, photons)
        counts = generator.binomial(round(pulses), -np.expm1(-mean / pulses))
    else:
        counts = _draw_poisson(generator, mean)
        if spots is not None:
            pixel, photons = spot_pixels(spots, detector.shape, sigma_px)
            np.add.at(counts, pixel, generator.poisson(photons))
    counts = counts * detector.usable
    index = np.flatnonzero(counts).astype(np.int32)
    return PhotonFrame(n_pixels, index, counts[index].astype(np.uint32), _NOWHERE, _NOWHERE)


def _draw_poisson(generator: np.random.Generator, mean: FloatArray) -> npt.NDArray[np.int64]:
    total = float(mean.sum())
    if total > 0.5 * mean.size:
        drawn: npt.NDArray[np.int64] = generator.poisson(mean)
        return drawn
    # Few photons: draw their number and then their places.
    number = generator.poisson(total)
    if mean.strides == (0,):
        places = generator.integers(0, mean.size, number)
    else:
        steps = np.cumsum(mean)
        places = np.searchsorted(steps, generator.random(number) * steps[-1])
    return np.bincount(places, minlength=mean.size)


def spot_pixels(
    spots: FloatArray, shape: tuple[int, int], sigma_px: float, half: int = 5
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return flat pixels, and expected photons there, of round Gaussian spots."""
    middle = np.floor(spots[:, :2]).astype(np.int64)
    edges = np.arange(-half, half + 2)[None, :]
    scale = sigma_px * math.sqrt(2.0)
    shares = [
        0.5 * np.diff(erf((edges - (spots[:, axis] - middle[:, axis])[:, None]) / scale), axis=1)
        for axis in (0, 1)
    ]
    photons = spots[:, 2, None, None] * shares[1][:, :, None] * shares[0][:, None, :]
    steps = np.arange(-half, half + 1)
    fs = middle[:, 0, None, None] + steps[None, None, :]
    ss = middle[:, 1, None, None] + steps[None, :, None]
    inside = (fs >= 0) & (fs < shape[1]) & (ss >= 0) & (ss < shape[0])
    return (ss * shape[1] + fs)[inside], photons[inside]


def scatter_spots(
    generator: np.random.Generator, number: int, photons: FloatArray, detector: Detector
) -> FloatArray:
    """Place spots at random on usable pixels, at least 16 px apart and from gaps."""
    height, width = detector.shape
    usable = detector.usable.reshape(detector.shape)
    placed: list[tuple[float, float]] = []
    while len(placed) < number:
        fs, ss = generator.uniform(8, width - 8), generator.uniform(8, height - 8)
        window = usable[int(ss) - 6 : int(ss) + 7, int(fs) - 6 : int(fs) + 7]
        if window.all() and all(max(abs(fs - a), abs(ss - b)) > 16 for a, b in placed):
            placed.append((fs, ss))
    return np.column_stack([np.array(placed), photons])
