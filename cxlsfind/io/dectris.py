"""Where Dectris file writers and their kin put what a geometry file may not name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_DATA_FILE = re.compile(r"(?P<run>.+)_data_\d+(?P<suffix>\.[^.]+)")

DETECTOR: Final = "/entry/instrument/detector"

#: Masks that hold for every channel, legacy format first.
PIXEL_MASKS: Final = (
    f"{DETECTOR}/detectorSpecific/pixel_mask",
    f"{DETECTOR}/pixel_mask",
)

#: Names of the channels along the channel axis of the data (format 2024.2).
CHANNELS: Final = "/entry/data/channel"

_CHANNEL_MASK = re.compile(rf"{DETECTOR}/(?P<channel>[^/]+)_channel/pixel_mask")


def channel_mask(channel: str) -> str:
    """Return the path of the pixel mask of a channel such as ``threshold_1``."""
    return f"{DETECTOR}/{channel}_channel/pixel_mask"


def is_pixel_mask(path: str) -> bool:
    """Return whether this is a path at which Dectris writes a detector's pixel mask."""
    return path in PIXEL_MASKS or _CHANNEL_MASK.fullmatch(path) is not None


def sibling_master(file: str) -> str | None:
    """Return the master file that belongs to a bare data file, if there is one.

    Parameters
    ----------
    file
        Any file name; only ``NAME_data_NNNNNN.h5`` can have a sibling ``NAME_master.h5``.
    """
    # A data file may have been linked to from elsewhere: its master then lies at the target.
    for path in (Path(file), Path(file).resolve()):
        match = _DATA_FILE.fullmatch(path.name)
        if match is not None:
            master = path.with_name(f"{match['run']}_master{match['suffix']}")
            if master.is_file():
                return str(master)
    return None
