"""``hits.json``: the run in numbers."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind import __version__
from cxlsfind.geometry.model import Geometry
from cxlsfind.records import FRAME_FLAGS, Skipped
from cxlsfind.writers.collect import RunResults
from cxlsfind.writers.stream import encode

#: Raised when the meaning of a field changes; new fields do not raise it.
SCHEMA = 1

#: Probability above which a frame is counted as having what a model sees in it.
_LIKELY = 0.5

#: Holes in bright spots of a run from which on its counters are said to roll over.
_SUSPICIOUS_PIXELS = 3


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the summary says of a run beside its results.

    Parameters
    ----------
    command
        The command line, without options that do not change results.
    settings
        Settings by name, ready for JSON.
    inputs
        Files that were read as the run's input, as the user gave them.
    sources
        Where energy, camera length and the like come from, in words, by name.
    notes, warnings
        What the user should know; sentences.
    models
        Models that judged what the finder found, ready for JSON.
    """

    command: str
    settings: Mapping[str, Any]
    inputs: Sequence[str]
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    models: Mapping[str, Any] = field(default_factory=dict)


def summarise(
    facts: RunFacts,
    geometry: Geometry,
    results: RunResults,
    skipped: Sequence[Skipped],
    *,
    n_frames: int,
    table_obstacle: str,
    lost: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the summary of a run; the same run gives the same summary.

    Parameters
    ----------
    skipped
        All frames and files that were not processed, in input order.
    n_frames
        Frames of the run, processed or not.
    table_obstacle
        Why there is no ``hits.cxi``; empty when there is one.
    lost
        What the derived geometry could not keep; sentences.
    """
    processed, hits = len(results.frame), int(results.is_hit.sum())
    return {
        "schema": SCHEMA,
        "program": "cxlsfind",
        "version": __version__,
        "command": facts.command,
        "settings": facts.settings,
        "geometry": {
            "file": geometry.file,
            "sha256": hashlib.sha256(encode(geometry.text)).hexdigest(),
            "warnings": geometry.warnings,
        },
        "inputs": facts.inputs,
        "frames": n_frames,
        "processed": processed,
        "hits": hits,
        "hit_rate": hits / processed if processed else None,
        "indexable": int(results.is_indexable.sum()),
        "peaks": int(results.n_peaks.sum()),
        "peaks_in_hits": int(results.n_peaks[results.is_hit].sum()),
        **_verdict_numbers(facts, results),
        "models": {**facts.models, **_model_numbers(results)},
        "mean_photons_per_pixel": _spread(results.mean_photons),
        "frames_with_saturated_pixels": int(np.count_nonzero(results.n_censored)),
        "frames_with_rolled_over_pixels": int(np.count_nonzero(results.n_rolled_over)),
        "photon_energy_eV": _spread(results.photon_energy_ev),
        "camera_length_m": _spread(results.clen_m),
        "sources": facts.sources,
        "skipped": {
            "frames": sum(item.frames or 0 for item in skipped),
            "of_unknown_length": sum(item.frames is None for item in skipped),
            "list": [asdict(item) for item in skipped],
        },
        "peak_table": {"written": not table_obstacle, "obstacle": table_obstacle or None},
        "notes": [*facts.notes, *lost],
        "warnings": [*facts.warnings, *_warnings(results)],
        "software": software_versions(),
    }


def _warnings(results: RunResults) -> list[str]:
    """Return what is wrong with the data by the look of the results; sentences."""
    return [*_roll_over_warnings(results), *_centre_warnings(results)]


def _centre_warnings(results: RunResults) -> list[str]:
    off = results.ring_centre_px[results.ring_centre_px.any(axis=1)]
    if not len(off):
        return []
    x, y = np.median(off, axis=0)
    return [
        f"sharp rings are centred {x:g} px in x and {y:g} px in y from the geometry's beam in "
        f"{len(off)} of {len(results.frame)} frames; peaks were found with that, indexing is not: "
        "correct corner_x and corner_y of all panels by the opposite"
    ]


def _roll_over_warnings(results: RunResults) -> list[str]:
    n_pixels = int(results.n_rolled_over.sum())
    if n_pixels < _SUSPICIOUS_PIXELS:
        return []
    n_frames = np.count_nonzero(results.n_rolled_over)
    return [
        "8-bit counters seem to have rolled over at 256: bright spots have holes, "
        f"{n_pixels} pixels in {n_frames} of {len(results.frame)} frames; positions and "
        "intensities of such spots are wrong: measure with 16 bits or a weaker beam"
    ]


def _verdict_numbers(facts: RunFacts, results: RunResults) -> dict[str, Any]:
    """Return what a finder that knows its statistics says of the run."""
    known = results.frame_class != ""
    if not known.any():
        return {}
    classes, numbers = np.unique(results.frame_class[known], return_counts=True)
    lit = np.isfinite(results.hit_probability)
    rate = float(results.hit_probability[lit].mean()) if lit.any() else None
    blanks = None if rate is None else (1.0 - rate) * np.count_nonzero(lit)
    by_fpr = blanks is not None and facts.settings.get("min_peaks") is None
    return {
        "frame_classes": dict(zip(classes.tolist(), numbers.tolist(), strict=True)),
        "estimated_hit_rate": rate,
        "expected_false_hits": facts.settings["hit_fpr"] * blanks if by_fpr else None,
        "expected_false_peaks_per_frame": float(results.expected_false_peaks[known].mean()),
        "pixels_left_out_by_finder": sum(len(pixels) for _, pixels in results.lying),
        "rings": _ring_numbers(results),
    }


def _ring_numbers(results: RunResults) -> dict[str, Any]:
    """Return how many frames have which kind of sharp rings, and where rings are centred."""
    names = [{word.split(":")[0] for word in words.split()} for words in results.rings.tolist()]
    kinds = sorted(set().union(*names))
    off = results.ring_centre_px[results.ring_centre_px.any(axis=1)]
    return {
        "frames_with": {kind: sum(kind in there for there in names) for kind in kinds},
        "frames_off_centre": len(off),
        "centre_px": np.median(off, axis=0).tolist() if len(off) else [0.0, 0.0],
    }


def _model_numbers(results: RunResults) -> dict[str, Any]:
    """Return what models changed, and what they saw beside crystals."""
    if not results.is_judged:
        return {}
    flags = dict(zip(FRAME_FLAGS, results.flag_probability.T, strict=True))
    return {
        "peaks_removed": int(results.n_removed.sum()),
        "frames_of_artefacts": int(np.count_nonzero(results.frame_class == "artefact")),
        "frames_with": {
            name: int(np.count_nonzero(column > _LIKELY)) for name, column in flags.items()
        },
    }


def software_versions() -> dict[str, str]:
    """Return the versions of what the results may depend on."""
    packages = ("numpy", "numba", "h5py", "hdf5plugin")
    return {
        "python": platform.python_version(),
        "hdf5": h5py.version.hdf5_version,
        **{name: importlib.metadata.version(name) for name in packages},
    }


def summary_bytes(summary: Mapping[str, Any]) -> bytes:
    """Return a summary as JSON: order kept, numbers that are not finite as ``null``."""
    text = json.dumps(_plain(summary), indent=1, ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def _spread(values: npt.NDArray[np.float64]) -> dict[str, float] | None:
    if len(values) == 0:
        return None
    return {
        "mean": float(values.mean()),
        "min": float(values.min()),
        "max": float(values.max()),
    }


def _plain(value: Any) -> Any:
    """Return a value in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
