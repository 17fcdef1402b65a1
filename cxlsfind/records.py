"""Records that cross layers: event names, frames, peaks and results.

Arrays of one frame are flat. The *frame array* is the concatenation of the geometry's slabs
(:class:`cxlsfind.geometry.layout.Slab`), each a two-dimensional array ``[ss, fs]`` as it lies in
the file, row after row. For a detector with one data array, such as an EIGER, the flat index is
``ss * width + fs``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Final

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class EventId:
    """A frame's name inside its file, in CrystFEL's syntax ``path1/path2//dim1/dim2``.

    Parameters
    ----------
    path
        Strings that fill the ``%`` of the data path, left to right.
    dims
        Numbers that fill the ``dimN = %`` of the geometry, in order.
    """

    path: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the event as CrystFEL writes it; ``//`` is the only frame of a file."""
        return "/".join(self.path) + "//" + "/".join(str(d) for d in self.dims)


class PeakFlag(IntFlag):
    """What is special about a peak."""

    SATURATED = 1  #: holds a pixel at the largest value the detector can write
    EDGE = 2  #: touches the edge of its panel or a masked pixel
    RING = 4  #: lies on a sharp ring, as of ice or salt


#: Peaks of one frame. ``fs`` and ``ss`` are in the frame of the data array, measured from the
#: corner of pixel 0, as CrystFEL's streams give them. Quantities a finder does not know are NaN.
PEAK_DTYPE: Final = np.dtype(
    [
        ("fs", "f8"),  # px
        ("ss", "f8"),  # px
        ("panel", "i4"),  # index into Geometry.panels
        ("sigma_fs", "f4"),  # px
        ("sigma_ss", "f4"),  # px
        ("intensity", "f8"),  # background-subtracted, in the units of the data
        ("photons", "f8"),  # background-subtracted photons
        ("sigma_photons", "f4"),
        ("background", "f4"),  # photons per pixel under the peak
        ("snr", "f4"),  # as the finder defines it
        ("log_likelihood_ratio", "f4"),
        ("p_value", "f8"),
        ("inverse_d", "f8"),  # 1/d, per nm
        ("n_pixels", "i4"),
        ("flags", "u4"),  # PeakFlag
        ("spot_probability", "f4"),  # a spot rather than an artefact, by a model; NaN without
        ("kind", "i4"),  # index into PEAK_CLASSES, by a model; -1 without
    ]
)

#: What a model can take a peak for.
PEAK_CLASSES: Final = ("spot", "noise", "hot_pixel", "track", "extended", "edge")

#: What may be in a frame beside, or instead of, a crystal.
FRAME_FLAGS: Final = ("ice", "salt", "precipitant", "streak")

PeakArray = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class PhotonFrame:
    """A frame of photon counts as a sparse list: almost all pixels of our data are zero.

    Pixels that are usable and not listed hold zero. Masked pixels are not listed.

    Parameters
    ----------
    n_pixels
        Length of the frame array.
    index
        Flat indices, strictly ascending, of usable pixels with a count above zero; int32.
    count
        Photons at ``index``; uint32. Readings with a gain are converted before.
    bad
        Flat indices, ascending, of pixels that are bad in this frame although the run's mask
        has them usable (flag values, negative counts); int32.
    censored
        Flat indices, ascending, of usable pixels that read the largest value of the data type:
        a lower bound, not a count; int32. They are listed in ``index`` too.
    """

    n_pixels: int
    index: npt.NDArray[np.int32]
    count: npt.NDArray[np.uint32]
    bad: npt.NDArray[np.int32]
    censored: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class PlaneFrame:
    """A frame of photon counts as bit planes, with a list of the pixels that overflow them.

    Bit ``i`` of word ``w`` of plane ``k`` is bit ``k`` of the count of pixel ``64 * w + i`` of the
    frame array. A pixel whose bits are set in all planes stands in the list with its count, which
    is ``2**n_planes - 1`` or more; all others hold what their bits say. Masked pixels, and bits
    beyond the last pixel, are zero.

    Parameters
    ----------
    n_pixels
        Length of the frame array.
    planes
        Shape (planes, words), uint64; at least two planes, lowest bit first.
    index
        Flat indices, strictly ascending, of the pixels with all bits set; int32.
    count
        Photons at ``index``; uint32.
    bad, censored
        As in :class:`PhotonFrame`; censored pixels have all bits set.
    """

    n_pixels: int
    planes: npt.NDArray[np.uint64]
    index: npt.NDArray[np.int32]
    count: npt.NDArray[np.uint32]
    bad: npt.NDArray[np.int32]
    censored: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class DenseFrame:
    """A frame as a full array: ADU, floats, or counts too crowded for a list.

    Parameters
    ----------
    values
        Frame array, in the units of the data; flat, float32.
    bad
        Flat indices, ascending, of pixels that are bad in this frame although the run's mask
        has them usable (flag values, NaN, infinities); int32.
    censored
        As in :class:`PhotonFrame`; empty for floats.
    """

    values: npt.NDArray[np.float32]
    bad: npt.NDArray[np.int32]
    censored: npt.NDArray[np.int32]


HeaderValue = float | int | str


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the data say of one frame beside its pixels.

    Parameters
    ----------
    photon_energy_ev, clen_m
        Photon energy (eV) and camera length (m) in force for this frame.
    detector_shift_m
        Shift (x, y) of the detector, metres.
    values
        Headers read for this frame, path to value, in order of first use.
    """

    photon_energy_ev: float
    clen_m: float
    detector_shift_m: tuple[float, float] = (0.0, 0.0)
    values: dict[str, HeaderValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A frame, or a whole file, that was not processed.

    Parameters
    ----------
    file
        Name of the file as it stands in the list, prefix included.
    event
        Event of the frame, or ``None`` when the whole file (or one of its data files) is meant.
    frames
        Number of frames lost; ``None`` where it cannot be known.
    reason
        What was found, what was expected, and the remedy where there is one.
    """

    file: str
    event: str | None
    frames: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class DataLink:
    """A dataset in a file that holds frames as they were written; never a virtual dataset.

    Parameters
    ----------
    file
        Absolute path of the HDF5 file that really holds the dataset.
    path
        HDF5 path of the dataset in that file.
    dims
        Role of each of its dimensions in CrystFEL's terms (``"%"``, ``"ss"``, ``"fs"`` or a
        fixed index), slowest first.
    """

    file: str
    path: str
    dims: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class SourceGroup:
    """Datasets whose rows are frames: what becomes one group ``/run/NNNN`` of the peak table.

    Parameters
    ----------
    links
        One per slab of the layout, in its order. Empty when a frame of this group cannot be
        had from plain datasets, as when a virtual dataset stitches it from pieces; then
        ``obstacle`` says so.
    n_rows
        Number of rows (frames) in the datasets, listed by the user or not; 1 for datasets
        without a ``%`` dimension.
    mask
        Index into the run's masks.
    obstacle
        Why frames of this group cannot be linked to; empty when they can.
    """

    links: tuple[DataLink, ...]
    n_rows: int
    mask: int
    obstacle: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable:
    """All frames of a run in input order; arrays of equal length, one element per frame.

    Parameters
    ----------
    filenames
        Names as they go to the stream: as in the list, after ``--basename`` and ``--prefix``.
    file
        Index into ``filenames``; int32.
    paths
        Distinct path parts of events.
    path
        Index into ``paths``; int32.
    dims
        Numbers of the event, shape (frames, number of ``%`` dimensions); int64.
    group
        Index into the run's :class:`SourceGroup` list; int32.
    row
        Row in that group; int64.
    n_bytes
        Compressed size of the frame, the cost estimate of scheduling; int64.
    """

    filenames: tuple[str, ...]
    file: npt.NDArray[np.int32]
    paths: tuple[tuple[str, ...], ...]
    path: npt.NDArray[np.int32]
    dims: npt.NDArray[np.int64]
    group: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.file)

    def filename(self, frame: int) -> str:
        """Return the name of a frame's file, as in the stream."""
        return self.filenames[int(self.file[frame])]

    def event(self, frame: int) -> EventId:
        """Return the event of a frame."""
        return EventId(self.paths[int(self.path[frame])], tuple(self.dims[frame].tolist()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a finder that knows its statistics says of a frame as a whole.

    Parameters
    ----------
    n_peaks
        How many peaks of the frame, from the first, are reported; the rest, less significant,
        goes into the table behind its count.
    hit_p_value
        Probability that a blank frame looks at least as much like a hit.
    log_bayes_factor
        Natural logarithm of the factor by which the photons change the odds of a hit.
    frame_class
        ``hit``, ``blank``, ``no_jet``, ``beam_off``, or ``artefact`` for what a model kept from
        being a hit.
    expected_false_peaks
        Peaks that the cut lets through in a blank frame, on average.
    ring_centre_px
        Where the rings of the background are centred, px (x, y) from the geometry's beam; (0, 0)
        unless they are plainly elsewhere.
    rings
        Sharp rings of the background in words, ``name:spacing`` in angstrom; empty without any.
    """

    n_peaks: int
    hit_p_value: float
    log_bayes_factor: float
    frame_class: str
    expected_false_peaks: float
    ring_centre_px: tuple[float, float] = (0.0, 0.0)
    rings: str = ""


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """What models add to what the finder says of a frame.

    Parameters
    ----------
    n_removed
        Peaks that the finder would have reported and a model did not.
    artefact_probability
        Probability that there are artefacts alone rather than a crystal, were both as common;
        NaN where no hit model knows such frames.
    flags
        Probability of each of :data:`FRAME_FLAGS`, crystal or not; NaN where no hit model knows
        such frames.
    """

    n_removed: int
    artefact_probability: float
    flags: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class RingLight:
    """The light between the spots of frames that share detector, photon energy and distance.

    Parameters
    ----------
    photon_energy_ev, clen_m, detector_shift_m
        As in :class:`FrameHeader`; means over the frames.
    n_frames
        How many there are.
    cells
        Photons; exposure; and that times the distance from the beam, px, and times cosine and sine
        of twice the angle; (5, rings, sectors), float64; sectors count from -x on.
    """

    photon_energy_ev: float
    clen_m: float
    detector_shift_m: tuple[float, float]
    n_frames: int
    cells: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What was found in one processed frame.

    Parameters
    ----------
    frame
        Number of the frame in the run's :class:`FrameTable`.
    is_hit
        Whether the hit decision keeps the frame.
    peaks
        Array of :data:`PEAK_DTYPE`, in the order in which they are written.
    header
        Energy, camera length and headers of the frame.
    mean_photons
        Mean photons per usable pixel.
    n_censored
        Number of usable pixels that read the largest value of the data type.
    verdict
        What the finder says of the frame as a whole, where it does.
    n_rolled_over
        Pixels of 8-bit data whose counter seems to have started again from zero.
    models
        What models add, where they were used.
    """

    frame: int
    is_hit: bool
    peaks: PeakArray
    header: FrameHeader
    mean_photons: float
    n_censored: int
    verdict: Verdict | None = None
    n_rolled_over: int = 0
    models: ModelVerdict | None = None

    @property
    def n_peaks(self) -> int:
        """Number of reported peaks; those behind them in ``peaks`` are for the table alone."""
        return len(self.peaks) if self.verdict is None else self.verdict.n_peaks
