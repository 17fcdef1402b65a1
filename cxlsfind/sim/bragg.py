"""The crystals of a frame: which there are, their spots, and the photons expected of them."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.model import Panel
from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_spots import Ramp, SpotShapes, deposit_spots
from cxlsfind.sim.background.profile import Sample
from cxlsfind.sim.beam import Beam
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.laue import Lattice, LaueCamera, Reflections, turn_anyhow
from cxlsfind.sim.panels import PixelTables
from cxlsfind.sim.readout import Readout
from cxlsfind.sim.settings import PatternSettings
from cxlsfind.sim.sparse import SparseImage
from cxlsfind.sim.spot_shapes import spot_shapes
from cxlsfind.sim.spots import SPOT_DTYPE, SpotArray

#: Fewer expected photons are no spot worth a line in the truth; they are in the image all the same.
FAINTEST: Final = 0.1
#: Spots of fewer expected photons are not even that.
_NOTHING: Final = 1e-4


def draw_lattices(rng: np.random.Generator, settings: PatternSettings) -> tuple[Lattice, ...]:
    """Draw the crystals of a frame: how many, how large, where and how they lie."""
    lattices = []
    for _ in range(1 + int(rng.poisson(settings.lattices - 1.0))):
        orientation = turn_anyhow(rng)
        size = math.exp(settings.size_spread * rng.standard_normal())
        offset = settings.offset_m * rng.standard_normal(2)
        lattices.append(
            Lattice(
                orientation=orientation,
                size_m=settings.crystal_size_m * size,
                offset_m=(float(offset[0]), float(offset[1])),
                mosaicity_rad=settings.mosaicity_rad,
            )
        )
    return tuple(lattices)


class BraggScattering:
    """Spots of crystals on a detector.

    Parameters
    ----------
    crystal
        Kind of crystal.
    panels
        Of the detector.
    q_limit
        Largest |q| that it sees, per metre.
    """

    def __init__(
        self,
        crystal: Crystal,
        panels: tuple[Panel, ...],
        q_limit: float,
        tables: PixelTables,
        readout: Readout,
    ) -> None:
        self._camera = LaueCamera(crystal, q_limit)
        self._panels = panels
        self._tables = tables
        self._readout = readout

    def spots(
        self, lattices: tuple[Lattice, ...], beam: Beam, sample: Sample, grid: PanelGrid
    ) -> tuple[SpotArray, list[SpotShapes]]:
        """Return the spots worth listing, their background zero, and the shapes of all."""
        listed = [np.zeros(0, SPOT_DTYPE)]
        shapes: list[SpotShapes] = []
        for lattice in lattices:
            found, shape = self._land(lattice, beam, sample, grid)
            shapes.append(shape)
            spots = self._centres(found, shape)
            spots = spots[self._is_seen(spots)]
            listed.append(spots[spots["photons"] >= FAINTEST])
        return np.concatenate(listed), shapes

    def band_shares(
        self, lattices: tuple[Lattice, ...], beam: Beam, sample: Sample, grid: PanelGrid
    ) -> tuple[float, float]:
        """Return sums over all spots on usable pixels: densities of the spectrum, and photons."""
        density = photons = 0.0
        for lattice in lattices:
            found, shape = self._land(lattice, beam, sample, grid)
            seen = self._is_seen(self._centres(found, shape))
            density += float(found.density[seen].sum())
            photons += float(shape.photons[seen].sum())
        return density, photons

    def _land(
        self, lattice: Lattice, beam: Beam, sample: Sample, grid: PanelGrid
    ) -> tuple[Reflections, SpotShapes]:
        """Return the reflections that reach a panel, and the shapes of their spots."""
        found = self._camera.reflections(lattice, beam)
        found = found.select(found.photons > _NOTHING)
        row, shape = spot_shapes(found, lattice, beam, grid)
        found = found.select(row)
        ahead = found.q[:, 2] + beam.wavenumber * np.exp(found.log_k)
        tangent = np.hypot(found.q[:, 0], found.q[:, 1]) / ahead
        return found, shape._replace(photons=shape.photons * sample.transmission(tangent))

    def _centres(self, found: Reflections, shape: SpotShapes) -> SpotArray:
        """Return spots as the truth has them."""
        corner = np.array([(panel.min_fs, panel.min_ss) for panel in self._panels], np.float64)
        centre = corner[shape.panel] + (shape.slope * found.shift)[:, None] * shape.radial
        spots = np.zeros(len(found), SPOT_DTYPE)
        spots["fs"] = shape.fs + centre[:, 0]
        spots["ss"] = shape.ss + centre[:, 1]
        spots["photons"] = shape.photons
        spots["hkl"] = found.hkl
        return spots

    def _is_seen(self, spots: SpotArray) -> npt.NDArray[np.bool_]:
        """Return which spots are centred on a usable pixel."""
        height, width = self._readout.shape
        seen = (spots["fs"] >= 0) & (spots["ss"] >= 0)
        seen &= (spots["fs"] < width) & (spots["ss"] < height)
        pixels = spot_pixels_of(spots[seen], width)
        seen[seen] = self._readout.usable[pixels] & (self._tables.panel_of[pixels] >= 0)
        return np.asarray(seen, np.bool_)


class SpotPainter:
    """Makes images of spots.

    Parameters
    ----------
    readout
        The detector's efficiency.
    """

    def __init__(self, readout: Readout) -> None:
        self._efficiency = readout.efficiency
        self._image = np.zeros(len(readout.efficiency))
        self._touched = np.empty(len(readout.efficiency), np.int32)

    def paint(
        self, shapes: list[SpotShapes], spectrum: Ramp, grid: PanelGrid
    ) -> SparseImage[np.float32]:
        """Return the expected counts of spots."""
        touched = [np.zeros(0, np.int32)]
        for shape in shapes:
            number = deposit_spots(
                shape, spectrum, grid, self._efficiency, self._image, self._touched
            )
            touched.append(self._touched[:number].copy())
        index = np.sort(np.concatenate(touched))
        values = self._image[index].astype(np.float32)
        # The image is zero again for the next frame.
        self._image[index] = 0.0
        return SparseImage(index, values, len(self._image))


def spot_pixels_of(spots: SpotArray, width: int) -> npt.NDArray[np.int32]:
    """Return the pixel under the centre of each spot, flat."""
    pixels: npt.NDArray[np.int32] = spots["ss"].astype(np.int32) * np.int32(width)
    return pixels + spots["fs"].astype(np.int32)
