"""What is known of the frames of a tree: conditions, crystal, background, with crystal or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxlsfind.datasets.conditions import table_condition
from cxlsfind.datasets.images import FrameAttributes, read_attributes, read_image
from cxlsfind.datasets.naming import WATER, named_kev
from cxlsfind.datasets.tree import Frame, Tree
from cxlsfind.errors import InputProblemsError

#: Attributes of simulated files, beside the three that all files have.
CRYSTAL: Final = "crystal"
BACKGROUND: Final = "background"
FRAME_CLASS: Final = "frame_class"
LABEL_SOURCE: Final = "label_source"
WATER_SOURCE: Final = "water_source"

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a frame.

    Parameters
    ----------
    photon_energy_ev, clen_m
        Photon energy (eV), camera length (m).
    is_empty
        Whether there is no crystal.
    crystal
        Name of the crystal's form; ``unknown`` where no file says.
    background
        What the background's noise was drawn from: frames that have this in common may hold the
        same photons.
    frame_class
        ``hit``, ``blank`` or ``neither``.
    """

    frame: Frame
    photon_energy_ev: float
    clen_m: float
    is_empty: bool
    crystal: str
    background: str
    frame_class: str

    @property
    def dataset(self) -> int:
        """Number of the data set."""
        return int(self.frame.dataset)

    @property
    def condition(self) -> str:
        """Photon energy and camera length as one word."""
        return f"{self.photon_energy_ev:.10g}eV_{self.clen_m:.10g}m"


def read_catalog(tree: Tree) -> tuple[Entry, ...]:
    """Read what the files of a tree say of themselves; names stand in for missing attributes.

    Raises
    ------
    InputProblemsError
        Files cannot be read, or neither attributes nor name give a condition.
    """
    shared = {dataset: _image_hash(path) for dataset, path in tree.shared_water.items()}
    entries: list[Entry] = []
    problems: list[str] = []
    for frame in tree.frames:
        try:
            entries.append(_read_entry(frame, shared))
        except ValueError as error:  # of which our own errors are a kind
            problems.append(str(error))
    if problems:
        raise InputProblemsError(problems)
    return tuple(entries)


def guess_condition(frame: Frame) -> tuple[float | None, float | None]:
    """Return energy (eV) and camera length (m) from names alone; ``None`` where they say nothing.

    Camera lengths are those of the nine data sets of Everett & Kurth (2024), which have the
    numbers 01 to 09; energies stand in file names, else they are theirs too.
    """
    energy, clen = table_condition(int(frame.dataset)) or (None, None)
    kev = named_kev(frame.key)
    return (energy if kev is None else kev * 1000), clen


def complete_attributes(frame: Frame, attributes: FrameAttributes) -> dict[str, float | bool]:
    """Return ``clen``, ``photon_energy`` and ``peak`` of a frame, from its name where need be.

    Raises
    ------
    ValueError
        Neither says what the camera length or the photon energy was.
    """
    energy, clen = guess_condition(frame)
    energy = energy if attributes.photon_energy_ev is None else attributes.photon_energy_ev
    clen = clen if attributes.clen_m is None else attributes.clen_m
    if energy is None or clen is None:
        missing = "photon_energy" if energy is None else "clen"
        message = (
            f"{frame.any_path}: no attribute '{missing}', and the name does not tell; set it with "
            "'cxlsfind-dataset attributes'"
        )
        raise ValueError(message)
    is_empty = frame.has_empty_name if attributes.peak is None else not attributes.peak
    return {"clen": clen, "photon_energy": energy, "peak": not is_empty}


def total_by_dataset(entries: Iterable[Entry]) -> Mapping[str, tuple[int, int]]:
    """Return the numbers of frames with and without a crystal, by data set."""
    totals: dict[str, tuple[int, int]] = {}
    for entry in entries:
        patterns, empties = totals.get(entry.frame.dataset, (0, 0))
        totals[entry.frame.dataset] = (patterns + (not entry.is_empty), empties + entry.is_empty)
    return totals


def class_weight(entries: Iterable[Entry]) -> float:
    """Return the number of frames without over that with a crystal, the weight of the latter.

    Infinite without any frame with a crystal.
    """
    is_empty = [entry.is_empty for entry in entries]
    patterns = len(is_empty) - sum(is_empty)
    return sum(is_empty) / patterns if patterns else float("inf")


def _read_entry(frame: Frame, shared: Mapping[str, str]) -> Entry:
    attributes = read_attributes(frame.any_path)
    known = complete_attributes(frame, attributes)
    default_class = "hit" if known["peak"] else "blank"
    return Entry(
        frame=frame,
        photon_energy_ev=float(known["photon_energy"]),
        clen_m=float(known["clen"]),
        is_empty=not known["peak"],
        crystal=str(attributes.others.get(CRYSTAL, UNKNOWN)),
        background=_background(frame, attributes, shared),
        frame_class=str(attributes.others.get(FRAME_CLASS, default_class)),
    )


def _background(frame: Frame, attributes: FrameAttributes, shared: Mapping[str, str]) -> str:
    if BACKGROUND in attributes.others:
        return str(attributes.others[BACKGROUND])
    if WATER in frame.paths:
        return _image_hash(frame.paths[WATER])
    # Without any water image, what the frames of a data set share is unknown.
    return shared.get(frame.dataset, f"{UNKNOWN}/{frame.dataset}")


def _image_hash(path: Path) -> str:
    return f"image:{hashlib.sha256(read_image(path).tobytes()).hexdigest()[:32]}"
