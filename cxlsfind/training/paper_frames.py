"""The test frames that the paper's models are scored on, and what cxlsfind says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.datasets.catalog import Entry, read_catalog
from cxlsfind.datasets.images import read_attributes
from cxlsfind.datasets.naming import OVERLAY
from cxlsfind.datasets.recipe import jobs_by_name
from cxlsfind.datasets.splits import SHARED, read_split
from cxlsfind.datasets.streaming import FrameDataset
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.errors import InputError
from cxlsfind.models.parameters import ParameterPosterior, estimate_parameters
from cxlsfind.training.hit_data import CALLED_AT
from cxlsfind.training.tree_search import TreeFinding, search_tree

BoolArray = npt.NDArray[np.bool_]

_UNKNOWN: Final = "?"

#: Conditions of more are not listed one by one.
_MOST_LISTED: Final = 9


@dataclass(frozen=True, slots=True, eq=False)
class ScoredFrames:
    """Frames of a tree and the truth about them; arrays and tuples of equal length.

    Parameters
    ----------
    entries
        What the files say.
    photons
        Photons of the beam, as a word with one digit; ``?`` in trees made by others.
    is_knowable
        Whether the crystal's photons would be told from the background with everything known, at
        the share of false hits that the finder allows.
    findings
        What the finder says; empty in trees made by others.
    posteriors
        What the photons between the peaks say of photon energy and camera length; empty where
        nobody asked.
    """

    entries: tuple[Entry, ...]
    photons: tuple[str, ...]
    is_knowable: BoolArray
    findings: tuple[TreeFinding, ...]
    posteriors: tuple[ParameterPosterior | None, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the frames, as a split has them."""
        return tuple(entry.frame.name for entry in self.entries)

    @property
    def has_crystal(self) -> BoolArray:
        """Whether a crystal is in the frame and two of its photons at least are expected."""
        return np.array(
            [not entry.is_empty and entry.frame_class != "neither" for entry in self.entries]
        )

    @property
    def is_blank(self) -> BoolArray:
        """Whether no crystal is in the frame."""
        return np.array([entry.is_empty for entry in self.entries])

    def groups(self) -> list[tuple[str, BoolArray]]:
        """Return all frames, and those of each number of photons where there are several."""
        everything = np.ones(len(self.entries), np.bool_)
        different = sorted(set(self.photons), reverse=True, key=_size)
        if len(different) < 2:
            return [("all", everything)]
        photons = np.array(self.photons)
        return [("all", everything), *((f"{one} photons", photons == one) for one in different)]

    def conditions(self) -> list[tuple[str, BoolArray]]:
        """Return the frames of each photon energy, and of each camera length, where few differ."""
        energy = np.array([f"{1e-3 * entry.photon_energy_ev:g} keV" for entry in self.entries])
        clen = np.array([f"{100.0 * entry.clen_m:g} cm" for entry in self.entries])
        return [
            (str(one), values == one)
            for values in (energy, clen)
            for one in np.unique(values)
            if len(np.unique(values)) <= _MOST_LISTED
        ]


def read_scored_frames(root: Path, split: Path | None, *, with_parameters: bool) -> ScoredFrames:
    """Read and search the test frames of a tree.

    Parameters
    ----------
    split
        Which frames are for test; ``None``: all.
    with_parameters
        Whether photon energy and camera length are asked for.

    Raises
    ------
    InputError
        Something cannot be read.
    """
    tree = scan_tree(root)
    names = None if split is None else read_split(split).test
    entries = FrameDataset(root, names=names, branches=(OVERLAY,)).entries
    jobs = jobs_by_name(tree)
    oracle = [
        float(read_attributes(entry.frame.any_path).others.get("oracle_llr", math.nan))
        for entry in entries
    ]
    photons = [jobs[e.frame.name].photons if e.frame.name in jobs else math.nan for e in entries]
    findings = search_tree(tree, entries) if tree.is_simulated else []
    posteriors = [estimate_parameters(one.profile) for one in findings] if with_parameters else []
    return ScoredFrames(
        entries=entries,
        photons=tuple(_UNKNOWN if math.isnan(number) else f"{number:.0e}" for number in photons),
        is_knowable=np.array(oracle) >= -math.log(CALLED_AT),
        findings=tuple(findings),
        posteriors=tuple(posteriors),
    )


def training_frames(state: dict[str, Any]) -> tuple[Entry, ...]:
    """Return what the files say of the frames that a model was trained on.

    Raises
    ------
    InputError
        They are no longer where they were.
    """
    notes = state["notes"]
    names = set(read_split(Path(notes["split"])).train)
    catalog = read_catalog(scan_tree(Path(notes["tree"])))
    found = tuple(entry for entry in catalog if entry.frame.name in names)
    if len(found) < len(names):
        raise InputError(
            f"{notes['tree']}: {len(names) - len(found)} of {len(names)} frames that "
            f"{state['task']} was trained on are not there"
        )
    return found


def tell_shared(training: tuple[Entry, ...], test: ScoredFrames) -> str:
    """Return a sentence that says what training and test frames have in common."""
    common = [
        name
        for name, key in SHARED.items()
        if {key(entry) for entry in training} & {key(entry) for entry in test.entries}
    ]
    parts = [f"no {name}" for name in SHARED if name not in common]
    parts += [f"possibly a {name}" for name in common]
    return f"Trained on {len(training)} frames that share {', '.join(parts)} with these."


def _size(photons: str) -> float:
    return -1.0 if photons == _UNKNOWN else float(photons)
