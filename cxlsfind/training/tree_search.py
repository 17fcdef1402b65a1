"""What the default finder, and the fit of rings, make of the frames of a tree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.catalog import Entry
from cxlsfind.datasets.images import read_image, read_mask
from cxlsfind.datasets.naming import OVERLAY
from cxlsfind.datasets.tree import GEOMETRY_NAME, MASK_NAME, Tree
from cxlsfind.errors import UsageError
from cxlsfind.finding.photons import FrameMaker
from cxlsfind.finding.poisson.finder import PoissonFinder
from cxlsfind.finding.poisson.settings import PoissonSettings
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import rings
from cxlsfind.geometry.model import Geometry
from cxlsfind.models.ring_fit import RingProfile, rebin
from cxlsfind.models.ring_posterior import posterior_at
from cxlsfind.pipeline.blocks import BLOCK_FRAMES
from cxlsfind.records import DenseFrame

FloatArray = npt.NDArray[np.float64]

#: Pixels this near to a peak, along fs or ss, are no background.
_AROUND_PX: Final = 7

#: So many different values are choices; more are a range.
_MOST_CHOICES: Final = 12
_RANGE_NODES: Final = 41


class TreeFinding(NamedTuple):
    """What is said of a frame.

    Parameters
    ----------
    is_hit
        Whether the finder keeps it.
    peaks
        Positions (fs, ss) of its peaks, one of them false per frame, px, (n, 2).
    profile
        Photons between the peaks by distance from the beam.
    """

    is_hit: bool
    peaks: FloatArray
    profile: RingProfile


def search_tree(tree: Tree, entries: tuple[Entry, ...]) -> list[TreeFinding]:
    """Search frames of a simulated tree as the main job does, by its default settings.

    Frames that follow each other share a block where they have data set and condition in common,
    as they would in a run; a frame with a condition of its own is alone.

    Parameters
    ----------
    entries
        The frames, by data set.

    Returns
    -------
    One finding per frame, in order.

    Raises
    ------
    UsageError
        The images are no photon counts.
    InputError
        A file of the tree cannot be read.
    """
    search = _Search(tree)
    key = lambda entry: (entry.dataset, entry.condition)  # noqa: E731
    findings: list[TreeFinding] = []
    for _, members in groupby(entries, key=key):
        block = list(members)
        for start in range(0, len(block), BLOCK_FRAMES):
            findings += search.block(block[start : start + BLOCK_FRAMES])
    return findings


class _Search:
    """The finder for the one geometry and mask of a tree."""

    def __init__(self, tree: Tree) -> None:
        mask = read_mask(tree.root / MASK_NAME)
        self._shape = mask.shape
        self._geometry: Geometry = read_geometry(tree.root / GEOMETRY_NAME)
        shapes = {slab_key(panel): mask.shape for panel in self._geometry.panels}
        self._layout: Layout = build_layout(self._geometry, shapes)
        self._usable = np.ascontiguousarray(mask.ravel() == 0)
        self._maker = FrameMaker(self._geometry, self._layout, self._usable)
        self._finder = PoissonFinder(PoissonSettings(), self._geometry, self._layout, self._usable)
        self._rings = rings(self._geometry, self._layout)

    def block(self, entries: list[Entry]) -> Iterator[TreeFinding]:
        """Return what is found in the frames of a block."""
        images = [read_image(entry.frame.paths[OVERLAY]) for entry in entries]
        frames = []
        for entry, image in zip(entries, images, strict=True):
            frame = self._maker.from_array(image.ravel(), entry.photon_energy_ev)
            if isinstance(frame, DenseFrame):
                raise UsageError(f"{entry.frame.any_path}: no photon counts: {image.dtype}")
            frames.append(frame)
        for image, result in zip(images, self._finder.find_block(frames).frames, strict=True):
            places = np.column_stack([result.peaks["fs"], result.peaks["ss"]]).astype(np.float64)
            yield TreeFinding(result.is_hit, places[: result.n_peaks], self._profile(image, places))

    def _profile(self, image: npt.NDArray[np.uint16], peaks: FloatArray) -> RingProfile:
        good = self._usable.reshape(self._shape).copy()
        for fs, ss in np.floor(peaks).astype(np.int64):
            good[
                max(ss - _AROUND_PX, 0) : ss + _AROUND_PX + 1,
                max(fs - _AROUND_PX, 0) : fs + _AROUND_PX + 1,
            ] = False
        ring = self._rings[good.ravel()]
        exposure = np.bincount(ring).astype(np.float64)
        photons = np.bincount(ring, image[good], len(exposure)).astype(np.float64)
        middle = np.arange(len(exposure), dtype=np.float64) + 0.5
        return RingProfile(middle / self._geometry.panels[0].res, photons, exposure)


def choices(values: FloatArray) -> FloatArray:
    """Return what a parameter can be, from its values in training: those, or the range's steps."""
    different = np.unique(values)
    if len(different) <= _MOST_CHOICES:
        return different
    return np.linspace(different[0], different[-1], _RANGE_NODES)


def weigh_choices(
    profile: RingProfile, energies_ev: FloatArray, clens_m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how likely each photon energy and each camera length is, where nothing else can be.

    Brightness says nothing here: the fit leaves the amount of water free.

    Parameters
    ----------
    energies_ev, clens_m
        All that there can be, each as likely as the others beforehand.

    Returns
    -------
    Probabilities of the energies, and of the camera lengths.
    """
    profile = rebin(profile)
    if profile.photons.sum() < 1.0:
        return np.full(len(energies_ev), 1.0 / len(energies_ev)), np.full(
            len(clens_m), 1.0 / len(clens_m)
        )
    found = posterior_at(profile, energies_ev)
    # The error of the template's scale moves rings as another camera length does.
    variance = (found.clen_variance + found.energy_variance)[:, None]
    apart = np.log(clens_m) - found.clen[:, None]
    density = found.log_weight[:, None] - 0.5 * (apart**2 / variance + np.log(variance))
    # Without air on the way and with it.
    weights = np.exp(density - density.max()).reshape(2, len(energies_ev), -1).sum(axis=0)
    weights /= weights.sum()
    return weights.sum(axis=1), weights.sum(axis=0)
