"""``hits.cxi``: links to the frames, their masks, and the table of peaks.

Root attributes ``schema``, ``program`` and ``mask_source``; masks in ``/masks``. Per source
dataset a group ``/run/NNNN``:

======================  ==================================================================
``data``                external link to the frames as they were written
``mask``                uint8, 1: bad; the same object for all groups that share a mask
``result``              ``nPeaks``, ``peakXPosRaw`` and the like, one row per source frame
``peaks``               instead of ``result`` for single images: (x, y, intensity) per peak
``photon_energy_eV``    and other values of frames, one per row, NaN where not processed
``source_file``         name of the frame's file as listed, ``source_event`` its event
``header/...``          headers that were read, under their own path
======================  ==================================================================

Several slabs give ``data_0``, ``data_1`` and so on. Coordinates count from the centre of the
first pixel, half a pixel below those of a stream. Rows of frames that are not in the run, or
could not be read, have no peaks. Of a frame that is listed twice the last result is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt

from cxlsfind import __version__
from cxlsfind.geometry.layout import Layout
from cxlsfind.records import FRAME_FLAGS, PEAK_CLASSES, FrameTable, PeakArray, SourceGroup
from cxlsfind.writers.collect import RunResults
from cxlsfind.writers.derived_geometry import CLEN, ENERGY, SHIFTS
from cxlsfind.writers.handoff import HandOff, group_name
from cxlsfind.writers.late_errors import LateErrorFile
from cxlsfind.writers.stream import encode

#: Raised when a reader of an older file of this kind could misread a newer one.
SCHEMA: Final = 1

#: CrystFEL refuses nothing, but an intensity must be a number above zero for whoever takes its
#: logarithm or its root; no real peak is this faint.
LEAST_INTENSITY = 1e-6

#: Dataset of ``result`` to field of the peak array and type.
COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "peakXPosRaw": ("fs", "f4"),
    "peakYPosRaw": ("ss", "f4"),
    "peakTotalIntensity": ("intensity", "f4"),
    "peakXSigma": ("sigma_fs", "f4"),
    "peakYSigma": ("sigma_ss", "f4"),
    "peakPhotons": ("photons", "f4"),
    "peakPhotonsSigma": ("sigma_photons", "f4"),
    "peakBackground": ("background", "f4"),
    "peakSNR": ("snr", "f4"),
    "peakLogLikelihoodRatio": ("log_likelihood_ratio", "f4"),
    "peakPValue": ("p_value", "f8"),
    "peakInverseD": ("inverse_d", "f4"),
    "peakNumPixels": ("n_pixels", "i4"),
    "peakPanel": ("panel", "i4"),
    "peakFlags": ("flags", "u4"),
}

#: The same for what models say of peaks, in runs where they had their say.
MODEL_COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "peakSpotProbability": ("spot_probability", "f4"),
    "peakClass": ("kind", "i4"),
}

#: Values in one chunk of the table: what CrystFEL unpacks to read one row.
_CHUNK_VALUES = 16384
#: Values that are gathered at a time.
_WRITE_VALUES = 1 << 20

_COMPRESSION: Final[dict[str, Any]] = {
    "compression": "gzip",
    "compression_opts": 1,
    "shuffle": True,
}


@dataclass(frozen=True, slots=True, eq=False)
class TableSources:
    """What ``hits.cxi`` is made from, beside the results.

    Parameters
    ----------
    masks
        Usable pixels (True) of the frame array, by ``SourceGroup.mask``; flat, bool.
    mask_source
        Where the masks come from, in words; less than 64 kB.
    """

    frames: FrameTable
    groups: Sequence[SourceGroup]
    layout: Layout
    masks: Sequence[npt.NDArray[np.bool_]]
    mask_source: str


def header_name(path: str) -> str:
    """Return where, below a group, ``hits.cxi`` keeps a header of the original files."""
    # A per cent sign would be filled in by CrystFEL from the event.
    return "header/" + path.strip("/").replace("%", "+")


def copied_headers(results: RunResults) -> list[str]:
    """Return what the next program should copy from ``hits.cxi``, as it is to be named."""
    names = ["source_file", "source_event", *map(header_name, results.headers)]
    return [f"/run/%/{name}" for name in names]


def write_cxi(path: Path, sources: TableSources, hand_off: HandOff, results: RunResults) -> None:
    """Write ``hits.cxi``; the same run gives the same bytes.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with (
        LateErrorFile(path) as disk,
        h5py.File(path, "w", driver="fileobj", fileobj=disk) as file,
    ):
        file.attrs["schema"] = SCHEMA
        file.attrs["program"] = f"cxlsfind {__version__}"
        file.attrs["mask_source"] = sources.mask_source.encode("utf-8", "replace").decode()
        _write_masks(file, sources, hand_off)
        numbers = _last_results(sources.frames, results)
        group_of = sources.frames.group[results.frame[numbers]]
        bounds = np.searchsorted(group_of, np.arange(len(sources.groups) + 1))
        for number, group in enumerate(sources.groups):
            members = numbers[bounds[number] : bounds[number + 1]]
            place = file.create_group(f"run/{group_name(number)}")
            for slab, link in enumerate(group.links):
                place[hand_off.member("data", slab)] = h5py.ExternalLink(link.file, link.path)
                mask = f"masks/{hand_off.member(str(group.mask), slab)}"
                place[hand_off.member("mask", slab)] = file[mask]
            rows = sources.frames.row[results.frame[members]]
            _write_frame_values(place, group.n_rows, rows, members, sources.frames, results)
            if hand_off.is_stacked:
                _write_table(place.create_group("result"), group.n_rows, rows, members, results)
            else:
                _write_list(place, members, results)


def _last_results(frames: FrameTable, results: RunResults) -> npt.NDArray[np.intp]:
    """Return numbers of results ordered by group and row, the last one of equals."""
    group, row = frames.group[results.frame], frames.row[results.frame]
    order = np.lexsort((row, group))  # stable: equals stay in input order
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (np.diff(group[order]) != 0) | (np.diff(row[order]) != 0)
    return order[is_last]


def _write_masks(file: h5py.File, sources: TableSources, hand_off: HandOff) -> None:
    for number in sorted({group.mask for group in sources.groups}):
        bad = (~sources.masks[number]).view(np.uint8)
        for slab, layout in enumerate(sources.layout.slabs):
            image = bad[layout.offset :][: layout.shape[0] * layout.shape[1]].reshape(layout.shape)
            dims = [dim for dim in hand_off.dims[slab] if dim != "%"]
            sizes = {"ss": layout.shape[0], "fs": layout.shape[1]}
            shape = tuple(sizes[d] if isinstance(d, str) else d + 1 for d in dims)
            full = np.ones(shape, np.uint8)
            full[tuple(slice(None) if isinstance(d, str) else d for d in dims)] = image
            # Neither chunks nor compression: CrystFEL reads the mask anew for every frame.
            file.create_dataset(f"masks/{hand_off.member(str(number), slab)}", data=full)


def _write_frame_values(
    place: h5py.Group,
    n_rows: int,
    rows: npt.NDArray[np.int64],
    members: npt.NDArray[np.intp],
    frames: FrameTable,
    results: RunResults,
) -> None:
    """Write what is one value per frame."""
    numbers = results.frame[members]
    columns: dict[str, npt.NDArray[Any]] = {
        ENERGY: results.photon_energy_ev[members],
        CLEN: results.clen_m[members],
        "hit": results.is_hit[members].astype(np.int32),
        "mean_photons": results.mean_photons[members].astype(np.float32),
        "saturated_pixels": results.n_censored[members].astype(np.int32),
        **_verdict_values(results, members),
        **_model_values(results, members),
        "source_file": _fixed_text([frames.filename(n) for n in numbers]),
        "source_event": _fixed_text([str(frames.event(n)) for n in numbers]),
    }
    if np.any(results.detector_shift_m):
        columns |= {name: results.detector_shift_m[members, k] for k, name in enumerate(SHIFTS)}
    for path, column in results.headers.items():
        values = column[members]
        columns[header_name(path)] = _fixed_text(values) if values.dtype.kind == "U" else values
    for name, values in columns.items():
        fill = np.nan if values.dtype.kind == "f" else values.dtype.type()
        whole = np.full(n_rows, fill, dtype=values.dtype)
        whole[rows] = values
        place.create_dataset(name, data=whole, **(_COMPRESSION if n_rows > 1 else {}))


def _verdict_values(
    results: RunResults, members: npt.NDArray[np.intp]
) -> dict[str, npt.NDArray[Any]]:
    if not (results.frame_class != "").any():
        return {}
    return {
        "hit_p_value": results.hit_p_value[members],
        "hit_log_bayes_factor": results.log_bayes_factor[members].astype(np.float32),
        "hit_probability": results.hit_probability[members].astype(np.float32),
        "expected_false_peaks": results.expected_false_peaks[members].astype(np.float32),
        "frame_class": _fixed_text(results.frame_class[members]),
    }


def _model_values(
    results: RunResults, members: npt.NDArray[np.intp]
) -> dict[str, npt.NDArray[Any]]:
    if not results.is_judged:
        return {}
    values: dict[str, npt.NDArray[Any]] = {
        "peaks_removed": results.n_removed[members].astype(np.int32),
    }
    if np.isnan(results.artefact_probability).all():
        return values
    values["artefact_probability"] = results.artefact_probability[members].astype(np.float32)
    for name, column in zip(FRAME_FLAGS, results.flag_probability[members].T, strict=True):
        values[f"{name}_probability"] = column.astype(np.float32)
    return values


def without_lying(sources: TableSources, results: RunResults) -> TableSources:
    """Return sources with masks that leave out what the finder left out.

    A pixel that lied in one block is bad in the mask of all frames that share the mask.
    """
    mask_of = np.array([group.mask for group in sources.groups])
    masks = list(sources.masks)
    for frames, pixels in results.lying:
        for number in np.unique(mask_of[sources.frames.group[frames]]).tolist():
            if masks[number] is sources.masks[number]:
                masks[number] = masks[number].copy()
            masks[number][pixels] = False
    return replace(sources, masks=masks)


def _fixed_text(texts: Sequence[str] | npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
    # Fixed length: variable-length strings are neither compressed nor fast.
    return np.array([encode(text) for text in texts], dtype=np.bytes_)


def _table_values(
    peaks: PeakArray, columns: Mapping[str, tuple[str, str]] = COLUMNS
) -> Mapping[str, npt.NDArray[Any]]:
    values = {name: peaks[field].astype(dtype) for name, (field, dtype) in columns.items()}
    values["peakXPosRaw"] = (peaks["fs"] - 0.5).astype(np.float32)
    values["peakYPosRaw"] = (peaks["ss"] - 0.5).astype(np.float32)
    intensity = values["peakTotalIntensity"]
    is_good = np.isfinite(intensity) & (intensity > LEAST_INTENSITY)
    values["peakTotalIntensity"] = np.where(is_good, intensity, np.float32(LEAST_INTENSITY))
    return values


def _write_table(
    place: h5py.Group,
    n_rows: int,
    rows: npt.NDArray[np.int64],
    members: npt.NDArray[np.intp],
    results: RunResults,
) -> None:
    """Write the peaks of a stack; chunks without peaks are never stored."""
    n_peaks = np.zeros(n_rows, np.int32)
    n_peaks[rows] = results.n_peaks[members]
    place.create_dataset("nPeaks", data=n_peaks)
    width = max(1, int(results.n_listed[members].max(initial=0)))
    chunk = min(n_rows, max(16, _CHUNK_VALUES // width))
    columns = {**COLUMNS, **(MODEL_COLUMNS if results.is_judged else {})}
    tables = {
        name: place.create_dataset(
            name, (n_rows, width), dtype, chunks=(chunk, width), fillvalue=0, **_COMPRESSION
        )
        for name, (_, dtype) in columns.items()
    }
    if "peakClass" in tables:
        tables["peakClass"].attrs["classes"] = ",".join(PEAK_CLASSES)
    step = chunk * max(1, _WRITE_VALUES // (chunk * width))
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        first, last = np.searchsorted(rows, (start, stop))
        counts = results.n_listed[members[first:last]]
        total = int(counts.sum())
        if total == 0:
            continue
        within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        peaks = results.peaks[np.repeat(results.first_peak[members[first:last]], counts) + within]
        where = (np.repeat(rows[first:last] - start, counts), within)
        for name, values in _table_values(peaks, columns).items():
            block = np.zeros((stop - start, width), values.dtype)
            block[where] = values
            tables[name][start:stop] = block


def _write_list(place: h5py.Group, members: npt.NDArray[np.intp], results: RunResults) -> None:
    """Write the peaks of a single image as rows of x, y and intensity."""
    peaks = results.peaks[:0]
    if len(members):
        first = results.first_peak[members[0]]
        peaks = results.peaks[first : first + results.n_peaks[members[0]]]
    values = _table_values(peaks)
    columns = [values[name] for name in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity")]
    place.create_dataset("peaks", data=np.stack(columns, axis=1))
