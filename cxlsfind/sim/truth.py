"""``truth.h5``: what a simulation put into every frame.

Two groups of columns of equal length, ``/frames`` and ``/spots``; a root attribute ``schema``
names the version. A frame is named as the run's list names it: file and event.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.sim.spots import SPOT_DTYPE, SpotArray

SCHEMA: Final = "cxlsfind-truth/1"

#: Columns of ``/frames`` beside ``file`` and ``event``.
FRAME_DTYPE: Final = np.dtype(
    [
        ("label", "i1"),  # 1: hit, 0: blank
        ("energy_eV", "f8"),
        ("clen_m", "f8"),
        ("orientation", "f8", (4,)),  # unit quaternion w, x, y, z; NaN without a crystal
        ("scale", "f8"),  # beam of this frame over that of the run
        ("pulses", "i4"),  # X-ray pulses per frame; 0: a continuous beam, Poisson counts
        ("oracle_llr", "f8"),  # log likelihood ratio of hit to blank; NaN where not computed
        ("centre", "f8", (2,)),  # where the direct beam meets the data array (fs, ss), px
        ("negatives", "u1"),  # bits of cxlsfind.sim.negatives.Negative: ice, salt, precipitant
    ]
)

#: Columns of ``/spots``: the number of the frame in ``/frames``, then the spot.
SPOT_ROW_DTYPE: Final = np.dtype([("frame", "i4"), *SPOT_DTYPE.descr])


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The truth of a run.

    Parameters
    ----------
    files, events
        Name of every frame.
    frames
        Array of :data:`FRAME_DTYPE`, one element per frame.
    spots
        Array of :data:`SPOT_ROW_DTYPE`, ascending in ``frame``.
    """

    files: tuple[str, ...]
    events: tuple[str, ...]
    frames: npt.NDArray[np.void]
    spots: SpotArray

    def spots_of(self, frame: int) -> SpotArray:
        """Return the spots of one frame; empty for a blank."""
        first, last = np.searchsorted(self.spots["frame"], [frame, frame + 1])
        return self.spots[first:last]


def write_truth(path: Path, truth: Truth) -> None:
    """Write ``truth.h5``, over an older one."""
    with h5py.File(path, "w") as file:
        file.attrs["schema"] = SCHEMA
        frames = file.create_group("frames")
        frames["file"] = list(truth.files)
        frames["event"] = list(truth.events)
        for column in FRAME_DTYPE.names or ():
            frames[column] = truth.frames[column]
        spots = file.create_group("spots")
        for column in SPOT_ROW_DTYPE.names or ():
            spots[column] = truth.spots[column]


def read_truth(path: Path) -> Truth:
    """Read ``truth.h5``.

    Raises
    ------
    InputError
        The file is not a truth file of a version known here.
    """
    with h5py.File(path, "r") as file:
        schema = file.attrs.get("schema")
        if schema != SCHEMA:
            message = f"{path}: schema is {schema!r}, expected {SCHEMA!r}: simulate the run again"
            raise InputError(message)
        return Truth(
            files=tuple(file["frames/file"].asstr()[:]),
            events=tuple(file["frames/event"].asstr()[:]),
            frames=_read_columns(file["frames"], FRAME_DTYPE),
            spots=_read_columns(file["spots"], SPOT_ROW_DTYPE),
        )


def _read_columns(group: h5py.Group, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    names = dtype.names or ()
    result = np.zeros(len(group[names[0]]), dtype)
    for column in names:
        # Columns that have been added since are zero in older files.
        if column in group:
            result[column] = group[column][:]
    return result
