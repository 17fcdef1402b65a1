"""Image files: round trips, attributes in every spelling, damaged files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cxlsfind.datasets.images import (
    ImageFileError,
    add_attributes,
    image_shape,
    read_attributes,
    read_ignore,
    read_image,
    read_truth,
    write_image,
)
from cxlsfind.datasets.truth import TRUTH_PIXEL_DTYPE, FrameTruth

KNOWN = {"clen": 0.15, "photon_energy": 6000.0, "peak": True}


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4"])
def test_images_are_read_as_they_were_written(tmp_path, dtype):
    image = np.random.default_rng(0).poisson(0.1, (51, 67)).astype(dtype)
    ignore = image[::-1] > 0
    write_image(tmp_path / "a.h5", image, KNOWN, ignore=ignore)
    again = read_image(tmp_path / "a.h5")
    assert again.dtype == image.dtype
    np.testing.assert_array_equal(again, image)
    np.testing.assert_array_equal(read_ignore(tmp_path / "a.h5"), ignore)
    assert image_shape(tmp_path / "a.h5") == (51, 67)
    assert read_truth(tmp_path / "a.h5") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_the_truth_is_read_as_it_was_written(tmp_path):
    pixels = np.array([(3, 0.5, 0, 0.01), (8, 2.0, 0, 0.02)], TRUTH_PIXEL_DTYPE)
    spots = np.array([(1.5, 2.5, 9.0)], [("fs", "f8"), ("ss", "f8"), ("photons", "f8")])
    for number, truth in enumerate((FrameTruth(pixels, spots), FrameTruth.nothing())):
        path = tmp_path / f"{number}.h5"
        write_image(path, np.zeros((4, 5), np.uint16), KNOWN, truth=truth)
        again = read_truth(path)
        np.testing.assert_array_equal(again.pixels, truth.pixels)
        np.testing.assert_array_equal(again.spots, truth.spots)
    assert FrameTruth(pixels, spots).bragg_photons == 2.5


def test_images_without_attributes_say_nothing(tmp_path, write_foreign):
    write_foreign(tmp_path / "a.h5", np.zeros((2, 2)))
    known = read_attributes(tmp_path / "a.h5")
    assert (known.clen_m, known.photon_energy_ev, known.peak) == (None, None, None)


def test_attributes_of_others_are_understood(tmp_path, write_foreign):
    write_foreign(
        tmp_path / "a.h5",
        np.zeros((2, 2)),
        camera_length=np.array([0.25]),
        photon_energy=7000,
        peak=1,
        author=np.bytes_(b"somebody"),
    )
    known = read_attributes(tmp_path / "a.h5")
    assert (known.clen_m, known.photon_energy_ev, known.peak) == (0.25, 7000.0, True)
    assert known.respelled == (("camera length", "clen"),)
    assert known.others == {"author": "somebody"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clen", "far"),
        ("clen", -0.1),
        ("clen", np.nan),
        ("photon_energy", 6),
        ("photon_energy", [6000, 7000]),
        ("peak", "yes"),
        ("peak", 2),
    ],
)
def test_values_without_sense_are_no_values(tmp_path, write_foreign, name, value):
    write_foreign(tmp_path / "a.h5", np.zeros((2, 2)), **{**KNOWN, name: value})
    known = read_attributes(tmp_path / "a.h5")
    (text,) = known.odd
    assert name in text
    values = {"clen": known.clen_m, "photon_energy": known.photon_energy_ev, "peak": known.peak}
    assert [key for key, number in values.items() if number is None] == [name]


def test_attributes_can_be_set(tmp_path, write_foreign):
    write_foreign(tmp_path / "a.h5", np.zeros((2, 2)))
    add_attributes(tmp_path / "a.h5", KNOWN)
    known = read_attributes(tmp_path / "a.h5")
    assert (known.clen_m, known.photon_energy_ev, known.peak) == (0.15, 6000.0, True)
    with pytest.raises(ImageFileError, match="attributes cannot be set"):
        add_attributes(tmp_path / "none.h5", KNOWN)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-300])


def _scramble(path):
    """Damage the compressed bytes: the filter of the HDF5 library would crash on them."""
    with h5py.File(path) as file:
        chunk = file["entry/data/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    middle = chunk.byte_offset + 12
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "cut short"),
        (_scramble, "damaged"),
        (lambda path: path.write_text("no HDF5"), "not an HDF5 file"),
        (lambda path: path.write_bytes(b""), r"a\.h5: "),
        (lambda path: path.unlink(), "does not exist"),
    ],
)
def test_damaged_files_are_refused_in_words(tmp_path, damage, message):
    path = tmp_path / "a.h5"
    image = np.random.default_rng(0).poisson(0.1, (200, 300)).astype(np.uint16)
    write_image(path, image, KNOWN)
    damage(path)
    with pytest.raises(ImageFileError, match=message):
        read_image(path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 3, 4)), "one image of numbers"),
        (np.array([["a"]], "S1"), "one image of numbers"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, write_foreign, image, message):
    write_foreign(tmp_path / "a.h5", image)
    with pytest.raises(ImageFileError, match=message):
        read_image(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w"):
        pass
    with pytest.raises(ImageFileError, match="no image at entry/data/data"):
        read_image(tmp_path / "b.h5")


def test_a_folder_that_takes_no_files(tmp_path):
    with pytest.raises(ImageFileError, match="cannot be written"):
        write_image(tmp_path / "none" / "a.h5", np.zeros((2, 2), np.uint8), KNOWN)
