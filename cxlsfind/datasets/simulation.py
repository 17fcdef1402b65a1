"""Simulated patterns as the frames of a tree."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.conditions import largest, smallest
from cxlsfind.datasets.free_settings import Setting, apply_settings
from cxlsfind.datasets.images import CLEN, DATA_PATH, MASK_PATH, PHOTON_ENERGY, Attribute
from cxlsfind.datasets.making import FrameImages
from cxlsfind.datasets.recipe import FrameJob, Recipe
from cxlsfind.datasets.truth import TRUTH_PIXEL_DTYPE, FrameTruth
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.model import BeamKind, Geometry, Mask, Quantity
from cxlsfind.geometry.shipped import find_geometry
from cxlsfind.geometry.write import write_geometry
from cxlsfind.sim.crystals.catalogue import DEFAULT_D_MIN_M, load_crystal
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.detector import DETECTORS, GeometryDetector, PixelArray
from cxlsfind.sim.pattern import Pattern
from cxlsfind.sim.patterns import PatternSettings, PatternSimulator
from cxlsfind.sim.sparse import SparseImage
from cxlsfind.units import wavelength_m

#: Pixels expected to hold fewer photons of a crystal are no part of the truth.
_FAINTEST: Final = 1e-3

#: What a tree has otherwise than the simulator by itself: no two frames have one beam centre.
_TREE_SETTINGS: Final[tuple[Setting, ...]] = (("centre_spread_px", 2.0),)

#: Reflections are needed somewhat beyond the far corner of the detector, whose centre wanders.
_RESOLUTION_MARGIN: Final = 0.97


@dataclass(frozen=True, slots=True)
class PatternSimulation:
    """Makes the frames of a tree from physics; small, since sent to other processes.

    Parameters
    ----------
    recipe
        How the tree is made.

    Raises
    ------
    UsageError
        A setting does not exist, or has a value without a meaning.
    InputError
        A detector or a crystal cannot be found or read.
    """

    recipe: Recipe

    def usable(self) -> npt.NDArray[np.bool_]:
        """Return the good pixels of all frames, [ss, fs]."""
        return np.asarray(self._simulator(next(self.recipe.jobs())).pixel_mask == 0)

    def geometry(self) -> str:
        """Return the CrystFEL geometry of the images."""
        detector = load_detector(self.recipe.detector)
        mask = Mask(0, f"/{MASK_PATH}", bad_bits=1)
        panels = tuple(
            replace(panel, data=f"/{DATA_PATH}", dims=("ss", "fs"), masks=(mask,), flags=())
            for panel in detector.panels
        )
        text = write_geometry(
            Geometry(
                file="",
                text="",
                panels=panels,
                beam_kind=BeamKind.PHOTON_ENERGY,
                beam=Quantity(header=f"/entry/{PHOTON_ENERGY}", unit="eV"),
                clen=Quantity(header=f"/entry/{CLEN}", unit="m"),
            )
        )
        return f"; {detector.description}, simulated; the beam's centre wanders\n{text}"

    def frame(self, job: FrameJob) -> FrameImages:
        """Return one frame; the same on every call, in every process."""
        simulator = self._simulator(job)
        pattern = simulator.frame(job.number, with_crystal=not job.name.is_empty)
        shape = simulator.settings.detector.shape
        peaks = pattern.bragg_counts.dense()
        # What pulses too close together cost is taken from the water: the crystal's photons are
        # never more than what was read, and both add up to that.
        np.minimum(peaks, pattern.counts, out=peaks)
        water = pattern.counts - peaks
        return FrameImages(
            peaks=_narrow(peaks).reshape(shape),
            water=_narrow(water).reshape(shape),
            truth=_truth(pattern),
            has_crystal=pattern.is_hit,
            attributes=_attributes(pattern),
        )

    def _simulator(self, job: FrameJob) -> PatternSimulator:
        beam = Beam(job.photon_energy_ev, job.clen_m, job.photons)
        return _simulator(self.recipe, job.condition.crystal, beam)


def load_detector(name: str) -> PixelArray:
    """Return a detector by its name, or that of a geometry file.

    Raises
    ------
    InputError
        There is none, or the file cannot be used.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    return _geometry_detector(name)


class Beam(NamedTuple):
    """What differs between frames of one crystal: eV, metres, photons per frame."""

    photon_energy_ev: float
    clen_m: float
    photons: float


def build_settings(recipe: Recipe, crystal: str, beam: Beam) -> PatternSettings:
    """Return the simulator's settings for some frames.

    Raises
    ------
    UsageError, InputError
        As :class:`PatternSimulation`.
    """
    settings = PatternSettings(
        detector=load_detector(recipe.detector),
        crystal=_crystal(crystal, _resolution(recipe)),
        **beam._asdict(),
        seed=recipe.seed,
    )
    return apply_settings(settings, (*_TREE_SETTINGS, *recipe.settings))


@lru_cache(maxsize=4)
def _resolution(recipe: Recipe) -> float:
    """Return the finest spacing that any frame of a tree reaches, metres.

    One for all: a crystal whose intensities are drawn is the same in all data sets then.
    """
    energy = max(largest(condition.photon_energy_ev) for condition in recipe.conditions)
    clen = min(smallest(condition.clen_m) for condition in recipe.conditions)
    detector = load_detector(recipe.detector)
    reach = detector.pixel_size_m * 0.5 * math.hypot(*detector.shape) / clen
    finest = wavelength_m(energy) / (2.0 * math.sin(0.5 * math.atan(reach)))
    return min(DEFAULT_D_MIN_M, _RESOLUTION_MARGIN * finest)


def _truth(pattern: Pattern) -> FrameTruth:
    """Return what was expected where it matters."""
    false = pattern.impostors
    index = np.union1d(_bright(pattern.bragg_expected), _bright(false)).astype(np.int32)
    pixels = np.zeros(len(index), TRUTH_PIXEL_DTYPE)
    pixels["index"] = index
    pixels["bragg"] = _at(pattern.bragg_expected, index)
    pixels["impostor"] = _at(false, index)
    pixels["background"] = pattern.expected.at(index)
    return FrameTruth(pixels, pattern.spots)


def _bright(image: SparseImage[np.float32]) -> npt.NDArray[np.int32]:
    return image.index[image.value >= _FAINTEST]


def _at(image: SparseImage[np.float32], index: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return what a sparse image holds at some pixels."""
    result = np.zeros(len(index), np.float32)
    _, there, here = np.intersect1d(image.index, index, assume_unique=True, return_indices=True)
    result[here] = image.value[there]
    return result


def _attributes(pattern: Pattern) -> dict[str, Attribute]:
    """Return what else is worth knowing of a frame."""
    attributes: dict[str, Attribute] = {
        "beam_scale": pattern.scale,
        "detector_shift_x": pattern.shift_m[0],
        "detector_shift_y": pattern.shift_m[1],
        "true_photon_energy": pattern.photon_energy_ev,
        "impostors": pattern.negatives.name or "none",
    }
    if pattern.is_hit:
        attributes["crystals"] = len(pattern.orientations)
        attributes["bragg_photons"] = float(pattern.bragg_expected.value.sum(dtype=np.float64))
        attributes["oracle_llr"] = pattern.oracle_llr
        for letter, value in zip("wxyz", pattern.orientation, strict=True):
            attributes[f"orientation_{letter}"] = float(value)
    return attributes


def _narrow(counts: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    largest = np.iinfo(np.uint16).max
    # The detector's own files end there too. Hardly ever is there anything to cut off.
    return (counts if counts.max() <= largest else np.minimum(counts, largest)).astype(np.uint16)


# Conditions follow each other, so that few simulators serve all frames of a process.


@lru_cache(maxsize=2)
def _simulator(recipe: Recipe, crystal: str, beam: Beam) -> PatternSimulator:
    return PatternSimulator(build_settings(recipe, crystal, beam))


@lru_cache(maxsize=8)
def _crystal(name: str, d_min_m: float) -> Crystal:
    return load_crystal(name, d_min_m=d_min_m)


@lru_cache(maxsize=2)
def _geometry_detector(name: str) -> GeometryDetector:
    path = find_geometry(name)
    return GeometryDetector(path.stem, read_geometry(path, need_beam=False))
