"""Selections of virtual datasets mean here what they mean to the HDF5 library."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlsfind.errors import InputProblemsError
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.mappings import MappingError, pair_dimensions, read_mappings
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import open_run

N, SS, FS = 7, 6, 5


@st.composite
def _slices(draw, size, length):
    """Draw a slice of ``length`` indices out of ``size``."""
    step = draw(st.integers(1, max(1, (size - 1) // max(length - 1, 1))))
    start = draw(st.integers(0, size - 1 - step * (length - 1)))
    return slice(start, start + step * (length - 1) + 1, step)


@st.composite
def _mappings(draw):
    """Draw where a source with shape (N, SS, FS) goes in a target of the same shape."""
    lengths = draw(st.tuples(st.integers(1, N), st.integers(2, SS), st.integers(2, FS)))
    pairs = zip((N, SS, FS), lengths, strict=True)
    sides = [(draw(_slices(n, k)), draw(_slices(n, k))) for n, k in pairs]
    return draw(st.integers(0, 2)), tuple(t for t, _ in sides), tuple(s for _, s in sides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with three sources."""
    folder = tmp_path_factory.mktemp("sources")
    for k in range(3):
        with h5py.File(folder / f"{k}.h5", "w") as file:
            file["d"] = 1 + 1000 * k + np.arange(N * SS * FS, dtype="u2").reshape(N, SS, FS)
    return folder


@given(mappings=st.lists(_mappings(), min_size=1, max_size=4))
def test_any_mappings(mappings, folder, make_geometry):
    """Whatever is mapped is read as HDF5 reads it; frames without any source are skipped."""
    layout = h5py.VirtualLayout((N, SS, FS), "u2")
    covered = np.zeros(N, bool)
    for source, target, selection in mappings:
        layout[target] = h5py.VirtualSource(f"{source}.h5", "d", (N, SS, FS))[selection]
        covered[target[0]] = True
    name = str(folder / "v.h5")
    with h5py.File(name, "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=0)
    with h5py.File(name) as file:
        expected = file["d"][...]
    run = open_run([InputItem(name)], make_geometry(data="/d", max_fs=FS - 1, max_ss=SS - 1))
    assert run.frames.dims[:, 0].tolist() == np.flatnonzero(covered).tolist()
    with RunReader(run) as reader:
        for k, frame in enumerate(np.flatnonzero(covered)):
            np.testing.assert_array_equal(reader.read(k), expected[frame].ravel())


@pytest.mark.parametrize(
    ("virtual", "source", "pairs"),
    [
        ((3, 6, 5), (3, 6, 5), ((0, 0), (1, 1), (2, 2))),
        ((1, 6, 5), (6, 5), ((1, 0), (2, 1))),
        ((3, 6, 5), (3, 1, 6, 5), ((0, 0), (1, 2), (2, 3))),
        ((1, 6, 5), (1, 1, 6, 5), ((1, 2), (2, 3))),
    ],
)
def test_pair_dimensions(virtual, source, pairs):
    """Dimensions with a single index may come and go."""
    assert pair_dimensions(virtual, source) == pairs


def test_pair_dimensions_in_vain():
    """A source of another shape is refused."""
    with pytest.raises(MappingError, match="reshapes its source: 2 x 3 to 6"):
        pair_dimensions((6,), (2, 3))


def test_percent_signs(tmp_path):
    """A doubled percent sign is one, and no number."""
    with h5py.File(tmp_path / "v.h5", "w") as file:
        layout = h5py.VirtualLayout((2, 3), "u2")
        layout[:] = h5py.VirtualSource("100%%b.h5", "/d", (2, 3))
        dataset = file.create_virtual_dataset("v", layout)
        (mapping,) = read_mappings(dataset)
    assert mapping.file == "100%b.h5"


def test_points_are_refused(tmp_path, make_geometry):
    """Selections of single pixels are no rectangles."""
    with h5py.File(tmp_path / "v.h5", "w") as file:
        virtual = h5py.h5s.create_simple((2, SS, FS))
        virtual.select_hyperslab((0, 0, 0), (1, 1, 3))
        source = h5py.h5s.create_simple((2, SS, FS))
        source.select_hyperslab((0, 0, 0), (1, 1, 2))
        source.select_hyperslab((1, 3, 3), (1, 1, 1), op=h5py.h5s.SELECT_OR)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_virtual(virtual, b"s.h5", b"d", source)
        h5py.h5d.create(file.id, b"d", h5py.h5t.NATIVE_UINT16, virtual, plist)
    geometry = make_geometry(data="/d", max_fs=FS - 1, max_ss=SS - 1)
    with pytest.raises(InputProblemsError, match="no grid of pixels"):
        open_run([InputItem(str(tmp_path / "v.h5"))], geometry)
