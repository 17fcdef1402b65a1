"""A small run for the tests of writers: two panels in one array, two stacks of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.records import (
    PEAK_DTYPE,
    DataLink,
    FrameHeader,
    FrameResult,
    FrameTable,
    PeakArray,
    SourceGroup,
)
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.cxi import TableSources
from cxlsfind.writers.outputs import RunPlan
from cxlsfind.writers.summary import RunFacts

TEXT = """\
; two panels side by side
photon_energy = 9000 eV
clen = 0.1 m
adu_per_photon = 1
res = 10000
dim0 = %
dim1 = ss
dim2 = fs
data = /entry/data
rigid_group_left = left
left/min_fs = 0
left/max_fs = 59
left/min_ss = 0
left/max_ss = 39
left/corner_x = -65
left/corner_y = -20
left/fs = x
left/ss = y
right/min_fs = 60
right/max_fs = 99
right/min_ss = 0
right/max_ss = 39
right/corner_x = 5
right/corner_y = -20
right/fs = x
right/ss = y
right/coffset = 0.002
"""
SHAPE = (40, 100)


def _panel(name: str, min_fs: int, max_fs: int, corner_x: float, coffset: float) -> Panel:
    return Panel(
        name=name,
        min_fs=min_fs,
        max_fs=max_fs,
        min_ss=0,
        max_ss=39,
        corner_x=corner_x,
        corner_y=-20.0,
        fs=(1.0, 0.0, 0.0),
        ss=(0.0, 1.0, 0.0),
        res=10000.0,
        adu_per_photon=1.0,
        adu_per_ev=None,
        coffset=coffset,
        data="/entry/data",
        dims=("%", "ss", "fs"),
    )


@pytest.fixture
def geometry() -> Geometry:
    return Geometry(
        file="two.geom",
        text=TEXT,
        panels=(_panel("left", 0, 59, -65.0, 0.0), _panel("right", 60, 99, 5.0, 0.002)),
        beam_kind=BeamKind.PHOTON_ENERGY,
        beam=Quantity(value=9000.0, unit="eV"),
        clen=Quantity(value=0.1, unit="m"),
    )


def make_peaks(*places: tuple[float, float]) -> PeakArray:
    """Peaks of intensity 10, 20, ... at these (fs, ss)."""
    peaks = np.zeros(len(places), PEAK_DTYPE)
    for number, (fs, ss) in enumerate(places):
        peaks[number]["fs"], peaks[number]["ss"] = fs, ss
        peaks[number]["panel"] = int(fs >= 60)
        peaks[number]["intensity"] = 10.0 * (number + 1)
        peaks[number]["inverse_d"] = 0.1 * (number + 1)
    peaks["p_value"] = np.nan
    return peaks


@pytest.fixture
def peaks_at() -> Callable[..., PeakArray]:
    return make_peaks


@pytest.fixture
def make_result() -> Callable[..., FrameResult]:
    """A function that makes the result of a frame with peaks at given (fs, ss)."""

    def make(
        frame: int,
        *places: tuple[float, float],
        energy: float = 9000.0,
        clen: float = 0.1,
        values: dict[str, float | int | str] | None = None,
    ) -> FrameResult:
        header = FrameHeader(energy, clen, values=values or {})
        return FrameResult(frame, len(places) >= 2, make_peaks(*places), header, 0.25, 3)

    return make


@pytest.fixture
def sources(tmp_path: Path, geometry: Geometry) -> TableSources:
    """Two stacks of 4 and 3 frames; the run holds rows 2, 0 of b, then rows 1, 3 of a."""
    for name, n_rows in (("a.h5", 4), ("b.h5", 3)):
        with h5py.File(tmp_path / name, "w") as file:
            file["entry/data"] = np.arange(n_rows * 4000, dtype=np.int32).reshape(n_rows, *SHAPE)
    layout = build_layout(geometry, {slab_key(geometry.panels[0]): SHAPE})
    groups = tuple(
        SourceGroup(
            links=(DataLink(str(tmp_path / name), "/entry/data", ("%", "ss", "fs")),),
            n_rows=n_rows,
            mask=0,
        )
        for name, n_rows in (("a.h5", 4), ("b.h5", 3))
    )
    usable = np.ones(layout.n_pixels, dtype=np.bool_)
    usable[205] = False
    rows = np.array([2, 0, 1, 3])
    frames = FrameTable(
        filenames=("a.h5", "b.h5"),
        file=np.array([1, 1, 0, 0], np.int32),
        paths=((),),
        path=np.zeros(4, np.int32),
        dims=rows[:, None].astype(np.int64),
        group=np.array([1, 1, 0, 0], np.int32),
        row=rows.astype(np.int64),
        n_bytes=np.full(4, 100, np.int64),
    )
    return TableSources(frames, groups, layout, (usable,), "by hand")


@pytest.fixture
def plan(geometry: Geometry, sources: TableSources) -> RunPlan:
    facts = RunFacts(
        command="cxlsfind -i all.lst -g two.geom -o hits.stream",
        settings={"peaks": "poisson"},
        inputs=["all.lst"],
    )
    return RunPlan(geometry, geometry.text, facts, sources, search=("--threshold=5",))


@pytest.fixture
def make_block(plan: RunPlan) -> Callable[..., BlockOutput]:
    """A function that makes a block of results."""

    def make(*results: FrameResult) -> BlockOutput:
        return BlockOutput.from_results(
            results, (), frames=plan.sources.frames, geometry=plan.geometry
        )

    return make
