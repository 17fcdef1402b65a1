"""The finder's lists are those that CrystFEL wrote, peak by peak, whatever way a frame comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest

from cxlsfind.finding._windows import window_table
from cxlsfind.finding.peakfinder8 import Peakfinder8, Peakfinder8Settings
from cxlsfind.finding.photons import FrameMaker, normalise
from cxlsfind.finding.planes import dense_values
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import radii, radius_bins, static_usable
from cxlsfind.geometry.model import Geometry
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.ring_map import ring_map
from cxlsfind.records import DenseFrame, PeakArray, PlaneFrame

OURS = Path(__file__).parents[1] / "golden" / "peakfinder8"
STREAMS = [
    "counts.thr5_snr5",
    "counts.thr1_snr3",
    "counts.thr0_snr2",
    "readings.thr3_snr4",
    "readings.thr-5_snr1.5",
]
SHARED_STREAMS = [
    "two_panel.thr5_snr5_pix2",
    "two_panel.thr2_snr4_pix1",
    "eiger2_4m.thr5_snr5_pix2",
    "eiger2_4m.thr2.5_snr5_pix2",
]

Pack = Callable[..., PackedFrame]
Row = tuple[float, float, float, str]


@pytest.mark.parametrize("stream", STREAMS)
def test_own_reference(stream: str, pack: Pack) -> None:
    _check_stream(OURS / f"{stream}.stream", pack)


@pytest.mark.parametrize("stream", SHARED_STREAMS)
def test_shared_reference(shared_dir: Path, stream: str, pack: Pack) -> None:
    _check_stream(shared_dir / "golden" / "peakfinder8" / f"{stream}.stream", pack)


def _check_stream(stream: Path, pack: Pack) -> None:
    assert hdf5plugin.version  # imported for its filters
    text = stream.read_text()
    geometry = read_geometry(stream.with_name(stream.name.split(".")[0] + ".geom"))
    n_peaks = 0
    finder: Peakfinder8 | None = None
    for chunk in text.split("----- Begin chunk -----")[1:]:
        name = _field(chunk, "Image filename: (.*)")
        number = int(_field(chunk, "Event: //(.*)"))
        frame, mask = _read(stream.parent, name, number, geometry)
        layout = build_layout(geometry, {slab_key(panel): frame.shape for panel in geometry.panels})
        usable = static_usable(geometry, layout) & mask.ravel()
        if finder is None:
            rings = ring_map(radius_bins(geometry, layout))
            finder = Peakfinder8(_settings(text), geometry, layout, rings, usable)
            maker = FrameMaker(geometry, layout, usable)
        image = maker.from_array(frame.ravel(), 9000.0)
        expected = _peak_rows(chunk)
        peaks = finder.find(image, 9000.0)
        _compare(peaks, expected, geometry)
        if isinstance(image, PlaneFrame):
            dense = DenseFrame(dense_values(image), image.bad, image.censored)
            assert finder.find(dense, 9000.0).tobytes() == peaks.tobytes()
            if maker.takes_packed(9000.0):
                packed = maker.from_packed(pack(frame.ravel()))
                assert finder.find(packed, 9000.0).tobytes() == peaks.tobytes()
        n_peaks += len(expected)
    assert n_peaks > 0


@pytest.mark.parametrize("stream", STREAMS)
def test_naive_search(stream: str, naive_peakfinder8: ModuleType) -> None:
    """The readable version finds the same as the finder, in the last digit."""
    text = (OURS / f"{stream}.stream").read_text()
    geometry = read_geometry(OURS / (stream.split(".")[0] + ".geom"))
    chosen = _settings(text)
    options = naive_peakfinder8.Settings(
        chosen.threshold,
        chosen.min_snr,
        chosen.min_pix_count,
        chosen.max_pix_count,
        chosen.local_bg_radius,
    )
    frame, mask = _read(OURS, stream.split(".")[0] + ".h5", 0, geometry)
    layout = build_layout(geometry, {slab_key(panel): frame.shape for panel in geometry.panels})
    usable = static_usable(geometry, layout) & mask.ravel()
    bins = radius_bins(geometry, layout)
    image = normalise(frame.ravel(), usable, geometry, layout, 9000.0)
    found = Peakfinder8(chosen, geometry, layout, ring_map(bins), usable).find(image, 9000.0)
    values = image.values if isinstance(image, DenseFrame) else dense_values(image)
    radius = radii(geometry, layout)
    good = usable & (radius > chosen.min_res) & (radius < (chosen.max_res or np.inf))
    good[image.bad] = False
    windows = window_table(layout)
    expected = naive_peakfinder8.find_peaks(values, good, bins, windows, options)
    assert len(expected) > 0
    panels = [geometry.panels[peak.panel] for peak in expected]
    half = np.float32(0.5)
    assert found["panel"].tolist() == [peak.panel for peak in expected]
    assert found["fs"].tolist() == [
        panel.min_fs + (peak.fs + half) for panel, peak in zip(panels, expected, strict=True)
    ]
    assert found["ss"].tolist() == [
        panel.min_ss + (peak.ss + half) for panel, peak in zip(panels, expected, strict=True)
    ]
    for name in ("intensity", "snr", "n_pixels"):
        theirs = np.array([getattr(peak, name) for peak in expected], found.dtype[name])
        np.testing.assert_array_equal(found[name], theirs)


def _field(text: str, pattern: str) -> str:
    found = re.search(f"^{pattern}$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def _settings(text: str) -> Peakfinder8Settings:
    """Return the settings on the command line in a stream's header."""
    options = dict(re.findall(r"--([a-z-]+)=(\S+)", text.splitlines()[2]))
    return Peakfinder8Settings(
        threshold=float(options["threshold"]),
        min_snr=float(options["min-snr"]),
        min_pix_count=int(options["min-pix-count"]),
        max_pix_count=int(options["max-pix-count"]),
        local_bg_radius=int(options["local-bg-radius"]),
        min_res=float(options.get("min-res", 0)),
        max_res=float(options.get("max-res", 0)),
    )


def _read(
    folder: Path, name: str, number: int, geometry: Geometry
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return a frame and its usable pixels."""
    panel = geometry.panels[0]
    (mask,) = panel.masks
    with h5py.File(folder / name) as file:
        frame = file[panel.data][number]
    with h5py.File(folder / (mask.file or name)) as file:
        return frame, (file[mask.data][()].astype(np.int64) & mask.bad_bits) == 0


def _peak_rows(chunk: str) -> list[Row]:
    table = chunk.split("Peaks from peak search\n")[1].split("End of peak list")[0]
    rows = [line.split() for line in table.splitlines()[1:]]
    return [(float(fs), float(ss), float(intensity), name) for fs, ss, _, intensity, name in rows]


def _compare(peaks: PeakArray, expected: list[Row], geometry: Geometry) -> None:
    """Compare lists in their order, to the digits that streams hold."""
    assert [geometry.panels[panel].name for panel in peaks["panel"]] == [r[3] for r in expected]
    for column, name in enumerate(("fs", "ss", "intensity")):
        theirs = np.array([row[column] for row in expected])
        np.testing.assert_allclose(peaks[name], theirs, rtol=1e-6, atol=0.0051)
