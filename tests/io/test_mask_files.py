"""Masks given with --mask: which value is bad, and does the shape fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, Slab
from cxlsfind.io.mask_files import BadValue, read_mask_file

SHAPE = (3, 5)


def layout(*shapes: tuple[int, int], shared: bool = False) -> Layout:
    slabs, offset = [], 0
    for number, shape in enumerate(shapes):
        data = "/data" if shared else f"/data{number}"
        slabs.append(Slab(data, ("ss", "fs"), shape, offset))
        offset += shape[0] * shape[1]
    return Layout(tuple(slabs), ())


def save(path: Path, image: np.ndarray) -> str:
    np.save(path / "m.npy", image)
    return str(path / "m.npy")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [("nonzero", [1, 0, 0, 0]), ("0", [0, 1, 1, 0]), ("1", [1, 0, 1, 0])],
)
def test_which_value_is_bad(tmp_path: Path, bad: BadValue, expected: list[int]) -> None:
    name = save(tmp_path, np.array([[0, 1, 255, np.nan]]))
    usable, note = read_mask_file(name, layout((1, 4)), bad)
    assert usable.dtype == bool
    assert usable.tolist() == [bool(v) for v in expected]
    assert f"{4 - sum(expected)} of 4 pixels are bad (--mask-bad={bad})" in note


def test_unknown_polarity(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--mask-bad=2: expected 0, 1 or nonzero"):
        read_mask_file(save(tmp_path, np.eye(4)), layout((4, 4)), "2")  # type: ignore[arg-type]


def test_many_bad_pixels_are_remarked_on(tmp_path: Path) -> None:
    image = np.ones(SHAPE, "u1")
    image[0, 0] = 0
    _, note = read_mask_file(save(tmp_path, image), layout(SHAPE))
    assert "14 of 15 pixels are bad" in note
    assert "is this the right --mask-bad? its values are 0 (1 pixels), 1 (14 pixels)" in note


def test_no_pixel_left(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all 15 pixels are bad with --mask-bad=nonzero"):
        read_mask_file(save(tmp_path, np.ones(SHAPE)), layout(SHAPE))


def test_transposed_mask_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"shape \(5, 3\), the data \(3, 5\): the mask is transposed"
    ):
        read_mask_file(save(tmp_path, np.zeros((5, 3))), layout(SHAPE))


def test_other_shape_names_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the mask has shape \(4, 5\), the data \(3, 5\)$"):
        read_mask_file(save(tmp_path, np.zeros((4, 5))), layout(SHAPE))


@pytest.mark.parametrize("shape", [(2, 3, 5), (6, 5)])
def test_stacked_layouts(tmp_path: Path, shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, "u1")
    image.flat[3] = image.flat[17] = 1
    usable, _ = read_mask_file(save(tmp_path, image), layout(SHAPE, SHAPE))
    assert np.flatnonzero(~usable).tolist() == [3, 17]


def test_stacked_shapes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the data \(2, 3, 5\) or \(6, 5\)"):
        read_mask_file(save(tmp_path, np.zeros(SHAPE)), layout(SHAPE, SHAPE))


def test_slabs_that_share_a_dataset_share_the_mask(tmp_path: Path) -> None:
    image = np.zeros(SHAPE, "u1")
    image[1, 2] = 1
    usable, _ = read_mask_file(save(tmp_path, image), layout(SHAPE, SHAPE, shared=True))
    assert np.flatnonzero(~usable).tolist() == [7, 22]


def test_slabs_of_unequal_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="differ in size"):
        read_mask_file(save(tmp_path, np.zeros(SHAPE)), layout(SHAPE, (4, 5)))
