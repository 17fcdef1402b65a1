"""A detector of two panels side by side, the right one first, with what finders need of it.

The beam hits the right panel near (fs, ss) = (32.5, 18.2).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest

from cxlsfind.geometry.crystfel import parse_geometry
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.maps import radius_bins
from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.io.packed import PackedFrame
from cxlsfind.kernels.lz4 import SLACK
from cxlsfind.records import PlaneFrame

SHAPE = (40, 64)

TEXT = """\
photon_energy = 9000 eV
adu_per_photon = 1
clen = 0.1
res = 10000
data = /data
dim0 = %
dim1 = ss
dim2 = fs

right/min_fs = 30
right/max_fs = 63
right/min_ss = 0
right/max_ss = 39
right/corner_x = -2.5
right/corner_y = -18.2
right/fs = x
right/ss = y

left/min_fs = 0
left/max_fs = 29
left/min_ss = 0
left/max_ss = 39
left/corner_x = -32.5
left/corner_y = -18.2
left/fs = x
left/ss = y
"""


@dataclass
class TwoPanels:
    """The detector; ``text`` is its geometry file, to be parsed again with additions."""

    geometry: Geometry
    layout: Layout
    bins: npt.NDArray[np.int32]
    usable: npt.NDArray[np.bool_]

    def with_lines(self, lines: str) -> TwoPanels:
        """Return the same detector with more lines at the end of its file."""
        return make_two_panels(TEXT + lines)


def make_two_panels(text: str) -> TwoPanels:
    """Parse the file and make maps; all pixels are usable."""
    geometry = parse_geometry(text, file="two.geom")
    layout = build_layout(geometry, {slab_key(panel): SHAPE for panel in geometry.panels})
    bins = radius_bins(geometry, layout)
    usable = np.ones(layout.n_pixels, np.bool_)
    for shared in (bins, usable):
        shared.flags.writeable = False  # finders share them between threads
    return TwoPanels(geometry, layout, bins, usable)


@pytest.fixture(scope="session")
def two_panels() -> TwoPanels:
    """Return the detector."""
    return make_two_panels(TEXT)


def make_plane_frame(
    counts: npt.NDArray[np.integer],
    censored: npt.NDArray[np.int32] | None = None,
    n_planes: int | None = None,
) -> PlaneFrame:
    """Return counts as bit planes, by default as few as list one pixel in 256 or less."""
    flat = counts.ravel().astype(np.int64)
    if n_planes is None:
        room = flat.size // 256
        n_planes = next(n for n in (2, 4, 6, 8) if n == 8 or (flat >= 2**n - 1).sum() <= room)
    full = 2**n_planes - 1
    kept = np.zeros(-(-flat.size // 64) * 64, np.int64)
    kept[: flat.size] = np.minimum(flat, full)
    bits = ((kept >> np.arange(n_planes)[:, None]) & 1).astype(np.uint8)
    index = np.flatnonzero(flat >= full).astype(np.int32)
    nowhere = np.empty(0, np.int32)
    return PlaneFrame(
        n_pixels=flat.size,
        planes=np.packbits(bits, axis=1, bitorder="little").view(np.uint64),
        index=index,
        count=flat[index].astype(np.uint32),
        bad=nowhere,
        censored=nowhere if censored is None else censored,
    )


@pytest.fixture(scope="session")
def to_frame() -> Callable[..., PlaneFrame]:
    """Return a function that makes a frame of counts, all of them usable."""
    return make_plane_frame


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., PackedFrame]:
    """Return a function that packs an array as the detector does."""

    def packed(raw: npt.NDArray[Any], **options: Any) -> PackedFrame:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            options = dict(hdf5plugin.Bitshuffle(cname="lz4", **options))
            file.create_dataset("d", data=raw[None], chunks=(1, raw.size), **options)
        with h5py.File(tmp_path / "a.h5") as file:
            chunk = file["d"].id.read_direct_chunk((0, 0))[1]
        padded = np.frombuffer(chunk + bytes(SLACK), np.uint8)
        return PackedFrame(padded, len(chunk), raw.dtype, "a.h5 //0: d in a.h5, frame 0")

    return packed


@pytest.fixture(scope="session")
def naive_peakfinder8(root_dir: Path) -> ModuleType:
    """Return the pixel-by-pixel peak search."""
    path = root_dir / "tests" / "kernels" / "naive_peakfinder8.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def one_panel() -> Callable[[int], tuple[Geometry, Layout]]:
    """Return what makes a square detector of one panel with the beam in its middle."""

    def make(side: int) -> tuple[Geometry, Layout]:
        panel = Panel(
            name="p0",
            min_fs=0,
            max_fs=side - 1,
            min_ss=0,
            max_ss=side - 1,
            corner_x=-side / 2,
            corner_y=-side / 2,
            fs=(1.0, 0.0, 0.0),
            ss=(0.0, 1.0, 0.0),
            res=1e4,
            adu_per_photon=1.0,
            adu_per_ev=None,
        )
        energy, clen = Quantity(7000.0), Quantity(0.1)
        geometry = Geometry("t.geom", "", (panel,), BeamKind.PHOTON_ENERGY, energy, clen)
        return geometry, build_layout(geometry, {slab_key(panel): (side, side)})

    return make
