"""Usable pixels: masks of the geometry, of the detector, and of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, build_layout, slab_key
from cxlsfind.geometry.model import Geometry, Mask
from cxlsfind.io.files import FileCache
from cxlsfind.io.masks import MaskStore

SHAPE = (30, 40)
LEGACY = "/entry/instrument/detector/detectorSpecific/pixel_mask"
Write = Callable[..., str]
Make = Callable[..., Any]


@pytest.fixture
def files() -> Iterator[FileCache]:
    with FileCache() as cache:
        yield cache


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: Mapping[str, Any], name: str = "a.h5") -> str:
        with h5py.File(tmp_path / name, "w") as file:
            for path, value in content.items():
                file[path] = value
        return str(tmp_path / name)

    return write


def lay_out(geometry: Geometry, shape: tuple[int, int] = SHAPE) -> Layout:
    return build_layout(geometry, {slab_key(panel): shape for panel in geometry.panels})


def open_store(geometry: Geometry, files: FileCache, **options: Any) -> MaskStore:
    return MaskStore(geometry, lay_out(geometry), files, **options)


def mark(*pixels: tuple[int, int], value: int = 1, dtype: str = "u4") -> np.ndarray:
    """Return an array of zeros with a value at some pixels (ss, fs)."""
    array = np.zeros(SHAPE, dtype)
    for pixel in pixels:
        array[pixel] = np.array(value).astype(dtype)
    return array


def bad(store: MaskStore, index: int) -> list[tuple[int, int]]:
    """Return the bad pixels (ss, fs) of a mask."""
    array = store.arrays[index]
    assert array.dtype == bool
    return [(int(k) // SHAPE[1], int(k) % SHAPE[1]) for k in np.flatnonzero(~array)]


def test_no_mask_at_all(files: FileCache, write: Write, make_geometry: Make) -> None:
    store = open_store(make_geometry(), files)
    assert bad(store, store.add(write({}))) == []
    assert store.notes == ()


@pytest.mark.parametrize(
    ("good_bits", "bad_bits", "expected"),
    [
        (0, 0, []),
        (0, 0xFFFFFFFF, [1, 2, 3, 4, 5]),
        (0, 1, [1, 3, 5]),
        (0, 2, [2, 3, 5]),
        (0, 0x80000000, [4, 5]),
        (1, 0, [0, 2, 4]),
        (3, 0, [0, 1, 2, 4]),
        (1, 2, [0, 2, 3, 4, 5]),
    ],
)
def test_good_and_bad_bits(
    files: FileCache,
    write: Write,
    make_geometry: Make,
    good_bits: int,
    bad_bits: int,
    expected: list[int],
) -> None:
    values = [0, 1, 2, 3, 1 << 31, 0xFFFFFFFF]
    image = np.full(SHAPE, good_bits, "u4")
    image[0, : len(values)] = values
    geometry = make_geometry(masks=(Mask(0, "/m", None, good_bits, bad_bits),))
    for dtype in ("u4", "i8", "u8", "f8"):
        store = open_store(geometry, files)
        name = write({"/m": image.astype(dtype)}, f"{dtype}.h5")
        assert bad(store, store.add(name)) == [(0, k) for k in expected]


def test_negative_values_have_all_bits(files: FileCache, write: Write, make_geometry: Make) -> None:
    geometry = make_geometry(masks=(Mask(0, "/m", None, 0, 0x10000),))
    store = open_store(geometry, files)
    name = write({"/m": mark((2, 3), value=-1, dtype="i1")})
    assert bad(store, store.add(name)) == [(2, 3)]


def test_several_masks_and_other_files(
    files: FileCache,
    write: Write,
    make_geometry: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    write({"/x": mark((1, 1))}, "relative.h5")
    absolute = write({"/y": mark((2, 2))}, "absolute.h5")
    geometry = make_geometry(
        masks=(
            Mask(0, "/m", None, 0, 1),
            Mask(1, "/x", "relative.h5", 0, 1),
            Mask(2, "/y", absolute, 0, 1),
        )
    )
    store = open_store(geometry, files)
    name = write({"/m": mark((3, 3))})
    assert bad(store, store.add(name)) == [(1, 1), (2, 2), (3, 3)]


def test_path_parts_fill_placeholders(files: FileCache, write: Write, make_geometry: Make) -> None:
    geometry = make_geometry(data="/e/%/%/data", masks=(Mask(0, "/e/%/mask", None, 0, 1),))
    store = open_store(geometry, files)
    name = write({"/e/a/mask": mark((1, 1)), "/e/b/mask": mark((2, 2))})
    assert bad(store, store.add(name, ("a", "x"))) == [(1, 1)]
    assert bad(store, store.add(name, ("b", "x"))) == [(2, 2)]


def test_masks_are_cut_to_their_panels(
    files: FileCache, write: Write, make_panel: Make, make_geometry: Make
) -> None:
    left = make_panel("l", max_fs=19, masks=(Mask(0, "/m", None, 0, 1),))
    right = make_panel("r", min_fs=20, masks=(Mask(0, "/m", None, 0, 2),))
    store = open_store(make_geometry([left, right]), files)
    image = mark((4, 5), (6, 25)) + mark((7, 8), (9, 30), value=2)
    assert bad(store, store.add(write({"/m": image}))) == [(4, 5), (9, 30)]


def test_masks_of_module_stacks(
    files: FileCache, write: Write, make_panel: Make, make_geometry: Make
) -> None:
    panels = [
        make_panel(f"m{k}", dims=("%", k, "ss", "fs"), masks=(Mask(0, "/m", None, 0, 1),))
        for k in range(3)
    ]
    store = open_store(make_geometry(panels), files)
    stack = np.zeros((3, *SHAPE), "u1")
    stack[1, 2, 3] = stack[2, 4, 5] = 1
    assert bad(store, store.add(write({"/m": stack}))) == [(32, 3), (64, 5)]


def test_flat_mask_of_one_image_in_a_stack(
    files: FileCache, write: Write, make_geometry: Make, make_panel: Make
) -> None:
    """A mask needs no dimension for the channel that is read; with modules it does."""
    mask = (Mask(0, "/mask", bad_bits=1),)
    name = write({"/mask": mark((2, 5))})
    store = open_store(make_geometry(dims=("%", 0, "ss", "fs"), masks=mask), files)
    assert bad(store, store.add(name)) == [(2, 5)]
    modules = [make_panel(f"m{k}", dims=("%", k, "ss", "fs"), masks=mask) for k in range(2)]
    with pytest.raises(InputError, match=r"the mask has 2 dimensions; panel m0 .* needs 3 or 4"):
        open_store(make_geometry(modules), files).add(name)


def test_masks_per_frame_are_joined(files: FileCache, write: Write, make_geometry: Make) -> None:
    geometry = make_geometry(masks=(Mask(0, "/m", None, 0, 1),))
    stack = np.stack([mark((0, 0)), mark((1, 1)), mark((2, 2)), mark((1, 1))])
    name = write({"/m": stack})
    store = open_store(geometry, files)
    assert bad(store, store.add(name, (), np.array([[0], [1]]))) == [(0, 0), (1, 1)]
    assert store.notes == (
        f"{name}: the mask /m differs between frames: pixels that are bad in any of the 2 frames "
        "are left out of all",
    )
    same = open_store(geometry, files)
    assert bad(same, same.add(name, (), np.array([[1], [3], [3]]))) == [(1, 1)]
    assert same.notes == ()


def test_one_mask_written_as_a_stack_of_one(
    files: FileCache, write: Write, make_geometry: Make
) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    name = write({"/m": mark((1, 2))[None]})
    assert bad(store, store.add(name, (), np.array([[0], [7]]))) == [(1, 2)]


def test_missing_mask_is_a_problem(files: FileCache, write: Write, make_geometry: Make) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    name = write({})
    with pytest.raises(InputError, match=f"{name}: the geometry names a mask /m that this file"):
        store.add(name)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.zeros(SHAPE[0]), "has 1 dimensions; panel p0 of the geometry needs 2 or 3"),
        (
            np.zeros(SHAPE[::-1], "u1"),
            r"shape \(40, 30\), the data array \(30, 40\): the mask is tra",
        ),
        (np.full(SHAPE, np.nan), "the mask holds NaN"),
        (np.ones(SHAPE, "u1"), "no usable pixel is left"),
        (np.full(SHAPE, b"x"), "expected integers"),
    ],
)
def test_masks_that_do_not_fit(
    files: FileCache, write: Write, make_geometry: Make, value: Any, reason: str
) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    with pytest.raises(InputError, match=rf"a\.h5.*{reason}"):
        store.add(write({"/m": value}))


def test_larger_masks_are_remarked_on(files: FileCache, write: Write, make_geometry: Make) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    large = np.zeros((31, 42), "u1")
    large[3, 4] = 1
    assert bad(store, store.add(write({"/m": large}))) == [(3, 4)]
    assert "has shape (31, 42), the data array (30, 40); pixels are matched" in store.notes[0]


def test_virtual_mask_without_its_source(
    files: FileCache, write: Write, make_geometry: Make, tmp_path: Path
) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    virtual = h5py.VirtualLayout(SHAPE, "u1")
    virtual[:] = h5py.VirtualSource("source.h5", "/x", SHAPE, "u1")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_virtual_dataset("/m", virtual)
    with pytest.raises(InputError, match=r"its source /x in .*source\.h5 is missing"):
        store.add(str(tmp_path / "v.h5"))
    write({"/x": mark((5, 6))}, "source.h5")
    assert bad(store, store.add(str(tmp_path / "v.h5"))) == [(5, 6)]


@pytest.mark.parametrize("path", [LEGACY, "/entry/instrument/detector/pixel_mask"])
def test_pixel_mask_of_the_detector(
    files: FileCache, write: Write, make_geometry: Make, path: str
) -> None:
    store = open_store(make_geometry(), files)
    image = mark((1, 1)) + mark((2, 2), value=1 << 8)
    image += mark((3, 3), value=1 << 31) + mark((4, 4), value=(1 << 31) + 16)
    name = write({path: image})
    assert bad(store, store.add(name)) == [(1, 1), (2, 2), (4, 4)]
    assert store.notes == (f"{name}: pixel mask from {path} (the geometry names none)",)


def test_pixel_mask_is_left_alone_where_the_geometry_names_one(
    files: FileCache, write: Write, make_geometry: Make
) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    name = write({"/m": mark((1, 1)), LEGACY: mark((2, 2))})
    assert bad(store, store.add(name)) == [(1, 1)]


@pytest.mark.parametrize("is_named", [True, False])
def test_pixel_mask_of_each_channel(
    files: FileCache, write: Write, make_geometry: Make, is_named: bool
) -> None:
    channels = ("threshold_1", "threshold_2", "difference")
    content: dict[str, Any] = {
        f"/entry/instrument/detector/{channel}_channel/pixel_mask": mark((k, k))
        for k, channel in enumerate(channels)
    }
    if is_named:
        content["/entry/data/channel"] = list(channels)
    name = write(content)
    for k in range(3):
        store = open_store(make_geometry(dims=("%", k, "ss", "fs")), files)
        assert bad(store, store.add(name)) == [(k, k)]


def test_pixel_masks_of_all_channels_in_one_array(
    files: FileCache, write: Write, make_geometry: Make
) -> None:
    stack = np.stack([mark((0, 0)), mark((1, 1))])
    name = write({"/entry/instrument/detector/pixel_mask": stack})
    for k in range(2):
        store = open_store(make_geometry(dims=("%", k, "ss", "fs")), files)
        assert bad(store, store.add(name)) == [(k, k)]


def test_pixel_mask_of_another_shape_is_not_used(
    files: FileCache, write: Write, make_geometry: Make
) -> None:
    store = open_store(make_geometry(), files)
    name = write({LEGACY: np.ones((4, 5), "u4")})
    assert bad(store, store.add(name)) == []
    assert store.notes == (
        f"{name}: the pixel mask {LEGACY} of {name} is not used: its shape is (4, 5), that of the "
        "frames (30, 40)",
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_pixel_mask_of_the_master_file(
    files: FileCache, write: Write, make_geometry: Make, is_named: bool
) -> None:
    masks = (Mask(0, LEGACY, None, 0, 0x7FFFFFFF),) if is_named else ()
    store = open_store(make_geometry(masks=masks), files)
    data = write({}, "run_data_000001.h5")
    if is_named:
        with pytest.raises(InputError, match="that this file does not have"):
            store.add(data)
    master = write({LEGACY: mark((1, 2))}, "run_master.h5")
    assert bad(store, store.add(data)) == [(1, 2)]
    assert master in store.notes[0]
    assert store.notes[0].startswith(f"{data}: ")
    assert store.add(master) == 0
    assert len(store.arrays) == 1


def test_other_masks_are_not_looked_for_in_the_master(
    files: FileCache, write: Write, make_geometry: Make
) -> None:
    store = open_store(make_geometry(masks=(Mask(0, "/m", None, 0, 1),)), files)
    write({"/m": mark((1, 2))}, "run_master.h5")
    with pytest.raises(InputError, match="that this file does not have"):
        store.add(write({}, "run_data_000001.h5"))


def test_compressed_masks_can_be_read(
    files: FileCache, make_geometry: Make, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(LEGACY, data=mark((1, 2)), **hdf5plugin.Bitshuffle(cname="lz4"))
    store = open_store(make_geometry(), files)
    assert bad(store, store.add(str(tmp_path / "a.h5"))) == [(1, 2)]


def test_mask_of_the_user_is_joined_with_the_others(
    files: FileCache, write: Write, make_geometry: Make, tmp_path: Path
) -> None:
    np.save(tmp_path / "m.npy", mark((3, 4)))
    store = open_store(make_geometry(), files, mask_file=str(tmp_path / "m.npy"))
    assert bad(store, store.add(write({LEGACY: mark((1, 2))}))) == [(1, 2), (3, 4)]
    assert store.notes[0].startswith(f"mask {tmp_path}/m.npy: 1 of 1200 pixels are bad")


def test_geometry_and_mask_are_joined(files: FileCache, write: Write, make_geometry: Make) -> None:
    store = open_store(make_geometry(max_ss=28), files)
    found = store.arrays[store.add(write({LEGACY: mark((1, 2))}))].reshape(SHAPE)
    assert not found[29].any()
    assert not found[1, 2]
    assert np.count_nonzero(~found) == 41


def test_equal_masks_are_held_once(files: FileCache, write: Write, make_geometry: Make) -> None:
    store = open_store(make_geometry(), files)
    names = [write({LEGACY: mark((1, k // 2))}, f"{k}.h5") for k in range(4)]
    assert [store.add(name) for name in names] == [0, 0, 1, 1]
    assert [store.add(name) for name in names] == [0, 0, 1, 1]
    assert len(store.arrays) == 2
    with pytest.raises(ValueError, match="read-only"):
        store.arrays[0][0] = False


def test_slabs_that_share_pixels_share_the_mask(
    files: FileCache, write: Write, make_panel: Make, make_geometry: Make
) -> None:
    geometry = make_geometry([make_panel("a"), make_panel("b", max_fs=20)])
    store = open_store(geometry, files)
    found = store.arrays[store.add(write({LEGACY: mark((1, 2), (1, 30))}))]
    first, second = found.reshape(2, *SHAPE)
    assert np.argwhere(~first).tolist() == [[1, 2], [1, 30]]
    assert not second[1, 2]
    assert not second[:, 21:].any()


def test_a_dangling_link_to_the_mask_is_a_problem(
    files: FileCache, make_geometry: Make, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[LEGACY] = h5py.ExternalLink("gone.h5", "/mask")
    store = open_store(replace(make_geometry()), files)
    with pytest.raises(InputError, match=r"gone\.h5"):
        store.add(str(tmp_path / "a.h5"))
