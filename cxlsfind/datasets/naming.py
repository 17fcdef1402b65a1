"""Names in a tree of images: branches, data sets, frames, and what the programs of others wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PEAKS: Final = "peaks"  #: photons of the crystal alone
LABELS: Final = "labels"  #: where the spots are
OVERLAY: Final = "peaks_water_overlay"  #: crystal and water: what a detector would see
WATER: Final = "water"  #: photons of the background alone

#: Folders of a tree, in the order of listings.
BRANCHES: Final = (PEAKS, LABELS, OVERLAY, WATER)

#: How names of frames without a crystal begin; the authors' programs look for this word.
EMPTY_PREFIX: Final = "empty_"

#: Number of a camera length in a name when it was drawn anew for every frame.
DRAWN_CLEN: Final = 0

_PREFIXES: Final = {PEAKS: "peak_", LABELS: "label_", OVERLAY: "overlay_", WATER: "water_"}
_NAME: Final = re.compile(
    r"(?P<empty>empty_)?(?P<dataset>\d{2,})_(?P<kev>\d+(?:\.\d+)?)keV_clen(?P<clen>\d{2,})_"
    r"(?P<number>\d{6,})\.h5"
)
_CONDITION: Final = re.compile(r"(?P<kev>\d+(?:\.\d+)?)keV_clen(?P<clen>\d+)")


@dataclass(frozen=True, slots=True)
class FrameName:
    """The name of a frame's files, ``NN_EkeV_clenMM_nnnnnn.h5``, the same in all branches.

    Parameters
    ----------
    dataset
        Number of the data set, from 1.
    kev
        Photon energy in keV, as digits.
    clen
        Number of the camera length among those of the tree, from 1; :data:`DRAWN_CLEN` where
        every frame has its own.
    number
        Number of the frame, from 1; frames without a crystal count for themselves.
    is_empty
        Whether the frame holds no crystal; its name then begins with ``empty_``.
    """

    dataset: int
    kev: str
    clen: int
    number: int
    is_empty: bool = False

    def __str__(self) -> str:
        """Return the file name."""
        prefix = EMPTY_PREFIX if self.is_empty else ""
        return f"{prefix}{self.dataset:02d}_{self.kev}keV_clen{self.clen:02d}_{self.number:06d}.h5"


def parse_name(name: str) -> FrameName | None:
    """Return the parts of a file name; ``None`` where it follows another scheme."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return FrameName(
        int(match["dataset"]),
        match["kev"],
        int(match["clen"]),
        int(match["number"]),
        match["empty"] is not None,
    )


def format_kev(photon_energy_ev: float) -> str:
    """Return a photon energy as it stands in names: ``6``, ``6.5``; to one eV."""
    return f"{photon_energy_ev / 1000:.3f}".rstrip("0").rstrip(".")


def named_kev(name: str) -> float | None:
    """Return the photon energy (keV) that a name of any scheme gives; ``None`` without one."""
    match = _CONDITION.search(name)
    return float(match["kev"]) if match else None


def frame_key(branch: str, name: str) -> str:
    """Return what files of one frame have in common, from the name of one of them.

    The authors' programs put the branch into names: ``overlay_X.h5``, ``label_X.h5`` and
    ``empty_peak_X.h5`` belong to ``X.h5`` and ``empty_X.h5``. Names without are their own key.
    """
    prefix = _PREFIXES[branch]
    if name.startswith(EMPTY_PREFIX + prefix):
        return EMPTY_PREFIX + name.removeprefix(EMPTY_PREFIX + prefix)
    return name.removeprefix(prefix)


def has_empty_name(name: str) -> bool:
    """Return whether a file's name says that there is no crystal in it."""
    return "empty" in name
