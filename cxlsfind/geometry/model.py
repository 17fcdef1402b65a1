"""The detector geometry as CrystFEL describes it: panels, beam and everything between."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

Vector = tuple[float, float, float]
Dim = int | Literal["ss", "fs", "%"]


class BeamKind(Enum):
    """Which quantity the geometry names to fix the wavelength."""

    PHOTON_ENERGY = "photon_energy"
    WAVELENGTH = "wavelength"
    ELECTRON_VOLTAGE = "electron_voltage"

    @property
    def si_unit(self) -> str:
        """Unit of literal values: eV, m or V."""
        return {"photon_energy": "eV", "wavelength": "m", "electron_voltage": "V"}[self.value]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in the geometry file, or the header of the image that holds it.

    With neither a value nor a header it stands for something that the file does not give.

    Parameters
    ----------
    value
        Literal value in SI units (eV for photon energies, V for electron voltages);
        ``None`` for a header.
    header
        HDF5 path (may hold ``%``) of the header; ``None`` for a literal.
    scale
        Factor that turns the number in the header, or in the file, into SI units (eV, V). Zero
        where the unit is none that CrystFEL knows: it accepts such a file, but cannot read any
        frame with it.
    unit
        Unit of that number; empty for a literal in SI units (eV, V).
    """

    value: float | None = None
    header: str | None = None
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask array of a panel: a pixel is bad if a good bit is missing or a bad bit is set.

    Parameters
    ----------
    number
        N of ``maskN_data``, 0 to 7.
    data
        HDF5 path, may hold ``%``.
    file
        File with the mask, absolute or relative to the working directory; ``None``: the image's.
    good_bits, bad_bits
        Bit patterns, 32 bits.
    """

    number: int
    data: str
    file: str | None = None
    good_bits: int = 0
    bad_bits: int = 0


@dataclass(frozen=True, slots=True)
class Flag:
    """Pixel values that mean "bad": ``lessthan``, ``morethan`` (both strict) or ``equal``."""

    kind: Literal["lessthan", "morethan", "equal"]
    value: int


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle of the data array on a flat piece of detector.

    Parameters
    ----------
    min_fs, max_fs, min_ss, max_ss
        Inclusive pixel range in the data array.
    corner_x, corner_y
        Laboratory position of the outer corner of the first pixel, in pixels of this panel.
    coffset
        Distance of the panel behind the nominal camera length, metres.
    fs, ss
        Laboratory direction (x, y, z) of a step of one pixel, in pixels; need not be unit vectors.
    res
        Pixels per metre.
    adu_per_photon, adu_per_ev
        Exactly one is a number.
    dims
        Role of each dimension of the data set, slowest first. A negative number is no index but
        a dimension without a role: CrystFEL accepts that, but cannot read any frame with it.
    """

    name: str
    min_fs: int
    max_fs: int
    min_ss: int
    max_ss: int
    corner_x: float
    corner_y: float
    fs: Vector
    ss: Vector
    res: float
    adu_per_photon: float | None
    adu_per_ev: float | None
    coffset: float = 0.0
    max_adu: float = float("inf")
    data: str = "/data/data"
    dims: tuple[Dim, ...] = ("ss", "fs")
    no_index: bool = False
    mask_edge_pixels: int = 0
    flags: tuple[Flag, ...] = ()
    masks: tuple[Mask, ...] = ()
    saturation_map: str | None = None
    saturation_map_file: str | None = None

    @property
    def width(self) -> int:
        """Number of pixels along fs."""
        return self.max_fs - self.min_fs + 1

    @property
    def height(self) -> int:
        """Number of pixels along ss."""
        return self.max_ss - self.min_ss + 1


@dataclass(frozen=True, slots=True)
class BadRegion:
    """A region without usable pixels: in data coordinates of a panel, or in the laboratory.

    Parameters
    ----------
    panel
        Name of the panel of an fs/ss region; ``None`` for an x/y region, which holds for all.
    limits
        ``min_fs, max_fs, min_ss, max_ss`` inclusive in the data array, or
        ``min_x, max_x, min_y, max_y`` in pixels, strict, tested at the pixel's corner.
    """

    name: str
    panel: str | None
    limits: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A complete geometry file.

    Parameters
    ----------
    file
        Name under which the file was read.
    text
        The file, verbatim.
    beam_kind, beam
        What fixes the wavelength; ``None`` only when read with ``need_beam=False``.
    clen
        Camera length; ``None`` only when read with ``need_beam=False``.
    detector_shift
        Shift (x, y) added to every panel; ``None`` when the file names none. Where it gives only
        one of them, the other is an empty :class:`Quantity`.
    panels
        In the order of the file.
    groups
        Name to members (panels or groups), as written.
    warnings
        What was accepted though it looks wrong: ``line: text``.
    """

    file: str
    text: str
    panels: tuple[Panel, ...]
    beam_kind: BeamKind | None
    beam: Quantity | None
    clen: Quantity | None
    bandwidth: float = 1e-8
    detector_shift: tuple[Quantity, Quantity] | None = None
    peak_list: str | None = None
    peak_list_type: Literal["auto", "cxi", "list3"] = "auto"
    bad_regions: tuple[BadRegion, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
