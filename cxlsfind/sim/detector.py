"""Pixel arrays of simulated detectors: modules and the gaps between them, or a geometry file's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import static_usable
from cxlsfind.geometry.model import Geometry, Panel

MASK_GAP: Final = 1  #: bit 0 of ``pixel_mask`` (NXdetector): no sensor here
MASK_DEAD: Final = 2  #: bit 1 of ``pixel_mask``: dead pixel


class PixelArray(Protocol):
    """What the simulation needs to know of a detector whose frames are one array.

    Parameters
    ----------
    name
        Name on the command line.
    description
        Name in the files.
    shape
        Size (ss, fs) of the data array.
    pixel_size_m
        Edge of a pixel, metres.
    panels
        Where its pixels are, the beam at the origin.
    beam_centre
        Where the direct beam meets the data array (fs, ss), px from the corner of pixel 0.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def pixel_size_m(self) -> float: ...  # noqa: D102
    @property
    def panels(self) -> tuple[Panel, ...]: ...  # noqa: D102
    @property
    def beam_centre(self) -> tuple[float, float]: ...  # noqa: D102

    def gap_mask(self) -> npt.NDArray[np.bool_]:
        """Return where there is no sensor, [ss, fs]."""

    def pixel_mask(self, dead_fraction: float, seed: int) -> npt.NDArray[np.uint32]:
        """Return the mask of the files, as :func:`pixel_mask` does."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector tiled from equal modules.

    Parameters
    ----------
    name
        Name on the command line.
    description
        Name in the files, as Dectris writes it.
    modules
        Number of modules (slow, fast).
    module_shape
        Pixels of a module (ss, fs).
    gap
        Pixels between modules (ss, fs).
    pixel_size_m
        Edge of a square pixel, metres.
    """

    name: str
    description: str
    modules: tuple[int, int]
    module_shape: tuple[int, int] = (512, 1028)
    gap: tuple[int, int] = (38, 12)
    pixel_size_m: float = 75e-6

    @property
    def shape(self) -> tuple[int, int]:
        """Size (ss, fs) of the data array."""
        slow, fast = (
            number * size + (number - 1) * gap
            for number, size, gap in zip(self.modules, self.module_shape, self.gap, strict=True)
        )
        return slow, fast

    @property
    def beam_centre(self) -> tuple[float, float]:
        """Beam centre (fs, ss), px from the corner of pixel 0: the middle of the array."""
        return self.shape[1] / 2, self.shape[0] / 2

    def gap_ranges(self, axis: int) -> tuple[tuple[int, int], ...]:
        """Return first and last line (inclusive) of every gap along axis 0 (ss) or 1 (fs)."""
        size, gap = self.module_shape[axis], self.gap[axis]
        starts = (number * (size + gap) + size for number in range(self.modules[axis] - 1))
        return tuple((start, start + gap - 1) for start in starts)

    def pixel_mask(self, dead_fraction: float, seed: int) -> npt.NDArray[np.uint32]:
        """Return the detector's mask, [ss, fs]: 0 for good pixels, bits of NXdetector otherwise.

        Parameters
        ----------
        dead_fraction
            Share of the pixels of the array that are dead, at random places.
        seed
            Seed of those places.
        """
        return pixel_mask(self.gap_mask(), dead_fraction, seed)

    def gap_mask(self) -> npt.NDArray[np.bool_]:
        """Return where there is no sensor, [ss, fs]."""
        mask = np.zeros(self.shape, np.bool_)
        for first, last in self.gap_ranges(0):
            mask[first : last + 1, :] = True
        for first, last in self.gap_ranges(1):
            mask[:, first : last + 1] = True
        return mask

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The array as one panel across the beam, which meets the middle of it."""
        centre_fs, centre_ss = self.beam_centre
        return (
            Panel(
                name="p0",
                min_fs=0,
                max_fs=self.shape[1] - 1,
                min_ss=0,
                max_ss=self.shape[0] - 1,
                corner_x=-centre_fs,
                corner_y=-centre_ss,
                fs=(1.0, 0.0, 0.0),
                ss=(0.0, 1.0, 0.0),
                res=1.0 / self.pixel_size_m,
                adu_per_photon=1.0,
                adu_per_ev=None,
            ),
        )


@dataclass(frozen=True, slots=True)
class GeometryDetector:
    """The detector of a geometry file whose panels lie in one data array.

    Parameters
    ----------
    name
        Name of the file.
    geometry
        What it says; its beam and camera length are not used.

    Raises
    ------
    InputError
        The panels lie in several arrays, or over each other in one.
    """

    name: str
    geometry: Geometry

    def __post_init__(self) -> None:
        """Refuse what one array of pixels cannot hold."""
        shapes = {slab_key(panel): self.shape for panel in self.panels}
        if len(build_layout(self.geometry, shapes).slabs) > 1:
            raise InputError(
                f"{self.geometry.file}: its panels lie in several arrays or overlap in one; "
                "expected all panels in one array, as in Dectris files"
            )

    @property
    def description(self) -> str:
        """Name in the files."""
        return f"detector of {self.name}"

    @property
    def shape(self) -> tuple[int, int]:
        """Size (ss, fs) of the data array: up to the last panel."""
        return (
            max(panel.max_ss for panel in self.panels) + 1,
            max(panel.max_fs for panel in self.panels) + 1,
        )

    @property
    def pixel_size_m(self) -> float:
        """Edge of a pixel of the first panel, metres."""
        return 1.0 / self.panels[0].res

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The file's panels."""
        return self.geometry.panels

    @property
    def beam_centre(self) -> tuple[float, float]:
        """Where the plane of the first panel meets the beam, if it is across the beam."""
        panel = self.panels[0]
        across = np.array([panel.fs[:2], panel.ss[:2]]).T
        steps = np.linalg.solve(across, [-panel.corner_x, -panel.corner_y])
        return float(steps[0]) + panel.min_fs, float(steps[1]) + panel.min_ss

    def gap_mask(self) -> npt.NDArray[np.bool_]:
        """Return what the file leaves out, [ss, fs]: between panels, and bad regions."""
        layout = build_layout(self.geometry, {slab_key(self.panels[0]): self.shape})
        return ~static_usable(self.geometry, layout).reshape(self.shape)

    def pixel_mask(self, dead_fraction: float, seed: int) -> npt.NDArray[np.uint32]:
        """Return the mask of the files, as :func:`pixel_mask` does."""
        return pixel_mask(self.gap_mask(), dead_fraction, seed)


def pixel_mask(
    gaps: npt.NDArray[np.bool_], dead_fraction: float, seed: int
) -> npt.NDArray[np.uint32]:
    """Return a detector's mask, [ss, fs]: 0 for good pixels, bits of NXdetector otherwise.

    Parameters
    ----------
    gaps
        Where there is no sensor, [ss, fs].
    dead_fraction
        Share of the pixels of the array that are dead, at random places.
    seed
        Seed of those places.
    """
    mask = np.where(gaps, np.uint32(MASK_GAP), np.uint32(0))
    rng = np.random.default_rng(seed)
    dead = rng.integers(0, mask.size, round(dead_fraction * mask.size))
    mask.ravel()[dead] |= np.uint32(MASK_DEAD)
    return mask


#: Detectors known by name; those with files in ``geom/`` have the names of these.
DETECTORS: Final = {
    detector.name: detector
    for detector in (
        Detector("Eiger4M", "Dectris EIGER2 Si 4M", (4, 2)),
        Detector("Eiger1M", "Dectris EIGER2 Si 1M", (2, 1)),
        Detector("Eiger500K", "Dectris EIGER2 Si 500K", (1, 1)),
        Detector("Eiger2_16M", "Dectris EIGER2 Si 16M", (8, 4)),
        Detector("EigerX4M", "Dectris EIGER X 4M", (4, 2), (514, 1030), (37, 10)),
        Detector("EigerX16M", "Dectris EIGER X 16M", (8, 4), (514, 1030), (37, 10)),
    )
}
