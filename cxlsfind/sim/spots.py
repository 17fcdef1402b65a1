"""Bragg spots as round Gaussians: where they lie, how bright they are, and their photons."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

#: Spots of one frame: centre (px, from the corner of pixel 0 of the data array), expected photons,
#: expected background under the centre (photons/px) and Miller indices (0 where there is no
#: crystal behind the spot).
SPOT_DTYPE: Final = np.dtype(
    [("fs", "f8"), ("ss", "f8"), ("photons", "f8"), ("background", "f4"), ("hkl", "i4", (3,))]
)

SpotArray = npt.NDArray[np.void]

#: Pitch of the lattice of :func:`lattice_positions`, px: that of a protein crystal at CXLS.
LATTICE_PITCH_PX: Final = 55.0


def random_positions(
    rng: np.random.Generator, number: int, shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return positions (fs, ss) anywhere on the array, shape (number, 2)."""
    return rng.uniform(0.0, 1.0, (number, 2)) * (shape[1], shape[0])


def lattice_positions(
    rng: np.random.Generator, number: int, shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Return nodes (fs, ss) of a square lattice, randomly turned and shifted, shape (<= number, 2).

    The nodes are a random choice among those on the array; fewer than asked for where the array
    has fewer.
    """
    reach = int(np.hypot(*shape) / LATTICE_PITCH_PX) + 1
    steps = np.arange(-reach, reach + 1) * LATTICE_PITCH_PX
    nodes = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    angle = rng.uniform(0.0, np.pi / 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    nodes = nodes @ turn + rng.uniform(0.0, LATTICE_PITCH_PX, 2) + (shape[1] / 2, shape[0] / 2)
    inside = ((nodes >= 0) & (nodes < (shape[1], shape[0]))).all(axis=1)
    return rng.permutation(nodes[inside])[:number]


def draw_spots(
    rng: np.random.Generator,
    positions: npt.NDArray[np.float64],
    mean_photons: float,
    usable: npt.NDArray[np.bool_],
) -> SpotArray:
    """Return spots at those positions whose centre lies on a usable pixel.

    Their photons are exponentially distributed, as the intensities of a non-centrosymmetric
    crystal are (Wilson, Acta Cryst. 2, 318, 1949). ``background`` is left zero.

    Parameters
    ----------
    positions
        Centres (fs, ss), shape (n, 2).
    mean_photons
        Mean over spots of the expected photons.
    usable
        Good pixels, [ss, fs].
    """
    pixels = positions.astype(np.int64)
    kept = positions[usable[pixels[:, 1], pixels[:, 0]]]
    spots = np.zeros(len(kept), SPOT_DTYPE)
    spots["fs"] = kept[:, 0]
    spots["ss"] = kept[:, 1]
    spots["photons"] = rng.exponential(mean_photons, len(kept))
    return spots


def spot_pixels(
    rng: np.random.Generator, spots: SpotArray, sigma_px: float, shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return the flat index of the pixel that every photon of the spots falls on.

    Photons beyond the array are lost.

    Parameters
    ----------
    sigma_px
        Width of the spots (one sigma), px.
    shape
        Size (ss, fs) of the array.
    """
    photons = rng.poisson(spots["photons"])
    fs = np.floor(rng.normal(np.repeat(spots["fs"], photons), sigma_px)).astype(np.int64)
    ss = np.floor(rng.normal(np.repeat(spots["ss"], photons), sigma_px)).astype(np.int64)
    inside = (fs >= 0) & (fs < shape[1]) & (ss >= 0) & (ss < shape[0])
    return ss[inside] * shape[1] + fs[inside]
