"""What one block of frames adds to the outputs, in a form that travels through files."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.model import Geometry
from cxlsfind.records import (
    FRAME_FLAGS,
    PEAK_DTYPE,
    FrameResult,
    FrameTable,
    HeaderValue,
    ModelVerdict,
    PeakArray,
    RingLight,
    Skipped,
    Verdict,
)
from cxlsfind.writers.stream import PENDING_PROBABILITY, stream_chunk

#: Values of one header, one element per frame: int64, float64 (NaN: absent) or str ("": absent).
HeaderColumn = npt.NDArray[Any]


_NO_PIXELS = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class BlockOutput:
    """Results of consecutive frames; arrays have one element per processed frame.

    Parameters
    ----------
    frame
        Numbers in the run's frame table, ascending; int64.
    is_hit
        Hit decision; bool.
    n_peaks
        Number of reported peaks; int64.
    n_listed
        Number of peaks, those for the table alone included; int64.
    peaks
        Peaks of all frames, one frame after the other; :data:`PEAK_DTYPE`.
    photon_energy_ev, clen_m
        Photon energy (eV) and camera length (m); float64.
    detector_shift_m
        Shift (x, y), metres; float64, shape (frames, 2).
    mean_photons
        Mean photons per usable pixel; float64.
    n_censored
        Pixels at the largest value of the data type; int64.
    n_rolled_over
        Pixels of 8-bit data whose counter seems to have started again from zero; int64.
    headers
        Headers by path, in order of first use.
    hit_p_value, log_bayes_factor, expected_false_peaks
        As in :class:`~cxlsfind.records.Verdict`; NaN where the finder gives no verdict; float64.
    hit_probability
        Probability of a hit; NaN until :meth:`with_hit_probability` fills it in.
    frame_class, rings
        As there; empty without a verdict.
    ring_centre_px
        As there; shape (frames, 2), float64.
    n_removed, artefact_probability, flag_probability
        As in :class:`~cxlsfind.records.ModelVerdict`; -1 and NaN where no models were used; int64,
        float64, and float64 of shape (frames, 4).
    lying
        Pixels of the frame array that the finder left out of the whole block; int32.
    light
        Light between the spots of frames that belong together, (groups, 5, rings, sectors),
        float64.
    light_of
        Of each group photon energy (eV), camera length, shift in x and y (m), and frames, (groups,
        5), float64.
    stream
        Rendered chunks, in order; nothing for frames that the stream leaves out.
    skipped
        Frames of the block that could not be read.
    """

    frame: npt.NDArray[np.int64]
    is_hit: npt.NDArray[np.bool_]
    n_peaks: npt.NDArray[np.int64]
    n_listed: npt.NDArray[np.int64]
    peaks: PeakArray
    photon_energy_ev: npt.NDArray[np.float64]
    clen_m: npt.NDArray[np.float64]
    detector_shift_m: npt.NDArray[np.float64]
    mean_photons: npt.NDArray[np.float64]
    n_censored: npt.NDArray[np.int64]
    n_rolled_over: npt.NDArray[np.int64]
    hit_p_value: npt.NDArray[np.float64]
    log_bayes_factor: npt.NDArray[np.float64]
    hit_probability: npt.NDArray[np.float64]
    frame_class: npt.NDArray[np.str_]
    expected_false_peaks: npt.NDArray[np.float64]
    rings: npt.NDArray[np.str_]
    ring_centre_px: npt.NDArray[np.float64]
    n_removed: npt.NDArray[np.int64]
    artefact_probability: npt.NDArray[np.float64]
    flag_probability: npt.NDArray[np.float64]
    lying: npt.NDArray[np.int32]
    light: npt.NDArray[np.float64]
    light_of: npt.NDArray[np.float64]
    headers: dict[str, HeaderColumn]
    stream: bytes
    skipped: tuple[Skipped, ...] = ()

    @classmethod
    def from_results(
        cls,
        results: Sequence[FrameResult],
        skipped: Sequence[Skipped],
        *,
        frames: FrameTable,
        geometry: Geometry,
        lying: npt.NDArray[np.int32] = _NO_PIXELS,
        light: Sequence[RingLight] = (),
        serial_start: int = 1,
        non_hits_in_stream: bool = True,
    ) -> BlockOutput:
        """Gather the results of a block and render its part of the stream.

        Parameters
        ----------
        results
            In input order.
        serial_start
            Serial number of the run's first frame.
        """
        headers = [result.header for result in results]
        chunks = (
            stream_chunk(
                result,
                geometry,
                filename=frames.filename(result.frame),
                event=str(frames.event(result.frame)),
                serial=serial_start + result.frame,
            )
            for result in results
            if result.is_hit or non_hits_in_stream
        )
        return cls(
            frame=np.array([result.frame for result in results], dtype=np.int64),
            is_hit=np.array([result.is_hit for result in results], dtype=np.bool_),
            n_peaks=np.array([result.n_peaks for result in results], dtype=np.int64),
            n_listed=np.array([len(result.peaks) for result in results], dtype=np.int64),
            peaks=np.concatenate(
                [np.empty(0, PEAK_DTYPE), *(result.peaks for result in results)], dtype=PEAK_DTYPE
            ),
            photon_energy_ev=np.array([header.photon_energy_ev for header in headers], np.float64),
            clen_m=np.array([header.clen_m for header in headers], np.float64),
            detector_shift_m=np.array(
                [header.detector_shift_m for header in headers], np.float64
            ).reshape(-1, 2),
            mean_photons=np.array([result.mean_photons for result in results], np.float64),
            n_censored=np.array([result.n_censored for result in results], np.int64),
            n_rolled_over=np.array([result.n_rolled_over for result in results], np.int64),
            **_verdict_columns([result.verdict for result in results]),
            **_model_columns([result.models for result in results]),
            lying=lying,
            light=_stack([each.cells for each in light]),
            light_of=np.array([_group(each) for each in light], np.float64).reshape(-1, 5),
            headers=header_columns([header.values for header in headers]),
            stream=b"".join(chunks),
            skipped=tuple(skipped),
        )

    def with_hit_probability(self, probability: npt.NDArray[np.float64]) -> BlockOutput:
        """Return the block with what only the whole run can tell, in the stream too."""
        pieces = self.stream.split(PENDING_PROBABILITY)
        is_rendered = np.ones(len(probability), np.bool_)
        if len(pieces) - 1 < len(probability):
            is_rendered = self.is_hit
        texts = [f"{value:.6g}".encode("ascii") for value in probability[is_rendered].tolist()]
        stream = b"".join(
            piece for pair in zip(pieces, [*texts, b""], strict=True) for piece in pair
        )
        return replace(self, hit_probability=probability, stream=stream)

    def to_bytes(self) -> bytes:
        """Return the block as bytes: a checksum, what arrays there are, and these one by one."""
        arrays = [np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS]
        arrays += self.headers.values()
        text = json.dumps(
            {
                "arrays": [(column.dtype.str, column.shape) for column in arrays],
                "headers": list(self.headers),
                "skipped": [asdict(item) for item in self.skipped],
            }
        ).encode("ascii")
        parts = [len(text).to_bytes(8, "little"), text, *(column.tobytes() for column in arrays)]
        body = b"".join([*parts, self.stream])
        return zlib.crc32(body).to_bytes(4, "little") + body

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockOutput:
        """Return the block that :meth:`to_bytes` stored.

        Raises
        ------
        ValueError
            The bytes are damaged or something else.
        """
        body = memoryview(data)[4:]
        if len(body) < 8 or zlib.crc32(body) != int.from_bytes(data[:4], "little"):
            raise ValueError("the results of a block of frames are damaged")
        at = 8 + int.from_bytes(body[:8], "little")
        found = json.loads(bytes(body[8:at]))
        columns = []
        for number, (kind, shape) in enumerate(found["arrays"]):
            # The fields of a structured type are not in its name.
            dtype = PEAK_DTYPE if number == _ARRAYS.index("peaks") else np.dtype(kind)
            column = np.frombuffer(body, dtype, math.prod(shape), at).reshape(shape).copy()
            columns.append(column)
            at += column.nbytes
        paths, n_own = found["headers"], len(_ARRAYS)
        return cls(
            **dict(zip(_ARRAYS, columns[:n_own], strict=True)),
            headers=dict(zip(paths, columns[n_own:], strict=True)),
            stream=bytes(body[at:]),
            skipped=tuple(Skipped(**item) for item in found["skipped"]),
        )


def _stack(cells: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Return the light of groups as one array, with empty rings where some have fewer."""
    n_rings = max((each.shape[1] for each in cells), default=0)
    padded = [np.pad(each, ((0, 0), (0, n_rings - each.shape[1]), (0, 0))) for each in cells]
    return np.stack(padded) if padded else np.zeros((0, 5, 0, 0))


def _group(light: RingLight) -> tuple[float, ...]:
    return light.photon_energy_ev, light.clen_m, *light.detector_shift_m, light.n_frames


def _verdict_columns(verdicts: Sequence[Verdict | None]) -> dict[str, npt.NDArray[Any]]:
    unknown = Verdict(0, float("nan"), float("nan"), "", float("nan"))
    known = [verdict or unknown for verdict in verdicts]
    return {
        "hit_p_value": np.array([verdict.hit_p_value for verdict in known], np.float64),
        "log_bayes_factor": np.array([verdict.log_bayes_factor for verdict in known], np.float64),
        "hit_probability": np.full(len(known), np.nan),
        "frame_class": np.array([verdict.frame_class for verdict in known], np.str_),
        "expected_false_peaks": np.array(
            [verdict.expected_false_peaks for verdict in known], np.float64
        ),
        "rings": np.array([verdict.rings for verdict in known], np.str_),
        "ring_centre_px": np.array(
            [verdict.ring_centre_px for verdict in known], np.float64
        ).reshape(-1, 2),
    }


def _model_columns(verdicts: Sequence[ModelVerdict | None]) -> dict[str, npt.NDArray[Any]]:
    nan = float("nan")
    unknown = ModelVerdict(-1, nan, (nan, nan, nan, nan))
    known = [verdict or unknown for verdict in verdicts]
    return {
        "n_removed": np.array([verdict.n_removed for verdict in known], np.int64),
        "artefact_probability": np.array(
            [verdict.artefact_probability for verdict in known], np.float64
        ),
        "flag_probability": np.array([verdict.flags for verdict in known], np.float64).reshape(
            -1, len(FRAME_FLAGS)
        ),
    }


#: Arrays in the order in which bytes hold them; those of the headers follow.
_ARRAYS = (
    "frame",
    "is_hit",
    "n_peaks",
    "n_listed",
    "hit_p_value",
    "log_bayes_factor",
    "hit_probability",
    "frame_class",
    "expected_false_peaks",
    "rings",
    "ring_centre_px",
    "n_removed",
    "artefact_probability",
    "flag_probability",
    "photon_energy_ev",
    "clen_m",
    "detector_shift_m",
    "mean_photons",
    "n_censored",
    "n_rolled_over",
    "peaks",
    "lying",
    "light",
    "light_of",
)


def header_columns(values: Sequence[dict[str, HeaderValue]]) -> dict[str, HeaderColumn]:
    """Turn the headers of frames into one array per header.

    A header that is text in one frame is text in all; one that is missing in a frame is NaN or
    empty there, so that whole numbers become floats.
    """
    paths = dict.fromkeys(path for frame in values for path in frame)
    return {path: _column([frame.get(path) for frame in values]) for path in paths}


def join_columns(parts: Sequence[tuple[int, HeaderColumn | None]]) -> HeaderColumn:
    """Concatenate the columns of one header over blocks.

    Parameters
    ----------
    parts
        Number of frames of each block and its column, ``None`` where the block lacks the header.
    """
    kinds = {column.dtype.kind for _, column in parts if column is not None}
    if "U" in kinds:
        return np.concatenate(
            [np.zeros(n, "U1") if column is None else column.astype(str) for n, column in parts]
        )
    return np.concatenate([np.full(n, np.nan) if column is None else column for n, column in parts])


def _column(values: Sequence[HeaderValue | None]) -> HeaderColumn:
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)
    limits = np.iinfo(np.int64)
    if all(isinstance(value, int) and limits.min <= value <= limits.max for value in values):
        return np.array(values, dtype=np.int64)
    return np.array(
        [np.nan if value is None else float(value) for value in values], dtype=np.float64
    )
