"""The chunk index knows which planes were written and what they take in the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.io.chunks import flat_index, plane_storage


@pytest.fixture
def file(tmp_path: Path):
    """Yield an empty file."""
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        yield handle


def test_compressed_sizes_of_tiles(file):
    """The size of a plane is the sum of its tiles."""
    data = np.random.default_rng(1).integers(0, 9, (3, 10, 12)).astype("u2")
    data[1] = 0
    dataset = file.create_dataset("d", data=data, chunks=(1, 5, 7), compression="gzip")
    storage = plane_storage(dataset, (1, 2))
    sizes = [0, 0, 0]
    for k in range(dataset.id.get_num_chunks()):
        chunk = dataset.id.get_chunk_info(k)
        sizes[chunk.chunk_offset[0]] += chunk.size
    assert storage.n_bytes.tolist() == sizes
    assert storage.n_written.tolist() == [4, 4, 4]
    assert storage.n_chunks == 4


def test_chunks_of_several_planes(file):
    """Planes share their chunk; the last chunk reaches beyond the dataset."""
    dataset = file.create_dataset("d", (5, 10, 12), "u2", chunks=(2, 10, 12))
    dataset[0] = 1
    dataset[4] = 1
    storage = plane_storage(dataset, (1, 2))
    assert storage.n_written.tolist() == [1, 1, 0, 0, 1]
    assert storage.n_bytes.tolist() == [240, 240, 0, 0, 240]
    assert storage.n_chunks == 1


def test_frame_dimension_in_the_middle_and_last(file):
    """Dimensions may have any order."""
    dataset = file.create_dataset("d", (10, 3, 12, 2), "u2", chunks=(10, 1, 12, 1))
    dataset[:, 1, :, 0] = 1
    storage = plane_storage(dataset, (0, 2))
    assert storage.index_shape == (3, 2)
    assert storage.n_written.tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("layout", [h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS])
@pytest.mark.parametrize("early", [False, True])
def test_storage_without_chunks(file, layout, early):
    """Compact datasets always have storage; contiguous ones once it is allocated."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(layout)
    if early or layout == h5py.h5d.COMPACT:
        plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((2, 4, 5))
    h5py.h5d.create(file.id, b"d", h5py.h5t.NATIVE_UINT16, space, plist)
    storage = plane_storage(file["d"], (1, 2))
    written = int(early or layout == h5py.h5d.COMPACT)
    assert storage.n_written.tolist() == [written] * 2
    assert storage.n_bytes.tolist() == [40 * written] * 2


def test_pixels_in_another_file(file, tmp_path):
    """Raw pixels outside of HDF5 count as written."""
    raw = np.arange(40, dtype="u2")
    raw.tofile(tmp_path / "raw.bin")
    external = [(str(tmp_path / "raw.bin"), 0, raw.nbytes)]
    dataset = file.create_dataset("d", (2, 4, 5), "u2", external=external)
    assert plane_storage(dataset, (1, 2)).n_written.tolist() == [1, 1]


def test_flat_index():
    """Flat numbers are those of NumPy; without dimensions there is one plane."""
    index = np.array([[0, 0, 0], [1, 2, 3], [1, 0, 4]])
    expected = np.ravel_multi_index(tuple(index.T), (2, 3, 5))
    assert flat_index(index, (2, 3, 5)).tolist() == expected.tolist()
    assert flat_index(np.zeros((1, 0), np.int64), ()).tolist() == [0]
