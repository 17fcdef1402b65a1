"""Images, such as masks, in the formats of detector software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxlsfind.errors import InputError
from cxlsfind.io.image_files import read_image

IMAGE = (np.arange(15).reshape(3, 5) % 4).astype(np.uint8)


def encode_byte_offset(image: np.ndarray[Any, Any]) -> bytes:
    """Write differences as the CBF format says: 1, 2, 4 or 8 bytes each."""
    encoded, last = bytearray(), 0
    for value in image.ravel().tolist():
        difference, last = value - last, value
        if -127 <= difference <= 127:
            encoded += difference.to_bytes(1, "little", signed=True)
            continue
        encoded += b"\x80"
        if -(2**15) < difference < 2**15:
            encoded += difference.to_bytes(2, "little", signed=True)
            continue
        encoded += b"\x00\x80"
        if -(2**31) < difference < 2**31:
            encoded += difference.to_bytes(4, "little", signed=True)
            continue
        encoded += b"\x00\x00\x00\x80" + difference.to_bytes(8, "little", signed=True)
    return bytes(encoded)


def cbf(image: np.ndarray[Any, Any], *, size: int | None = None) -> bytes:
    binary = encode_byte_offset(image)
    header = (
        "###CBF: VERSION 1.5, CBFlib v0.7.8\r\ndata_mask\r\n_array_data.data\r\n;\r\n"
        "--CIF-BINARY-FORMAT-SECTION--\r\nContent-Type: application/octet-stream;\r\n"
        '     conversions="x-CBF_BYTE_OFFSET"\r\n'
        f"X-Binary-Size: {len(binary) if size is None else size}\r\n"
        f"X-Binary-Size-Fastest-Dimension: {image.shape[1]}\r\n"
        f"X-Binary-Size-Second-Dimension: {image.shape[0]}\r\n\r\n"
    )
    tail = b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n"
    return header.encode() + b"\x0c\x1a\x04\xd5" + binary + tail


def edf(image: np.ndarray[Any, Any], data_type: str, order: str, newline: bytes = b"\n") -> bytes:
    header = (
        f"{{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = {order} ;\n"
        f"DataType = {data_type} ;\nDim_1 = {image.shape[1]} ;\nDim_2 = {image.shape[0]} ;\n"
        "Title = a mask ;\n"
    ).encode()
    return header + b" " * (510 - len(header)) + b"}" + newline + image.tobytes()


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", IMAGE.astype(bool))
    np.testing.assert_array_equal(read_image(str(tmp_path / "m.npy")), IMAGE.astype(bool))


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}])
@pytest.mark.parametrize("suffix", ["tif", "TIFF"])
def test_tiff(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    path = tmp_path / f"m.{suffix}"
    tifffile.imwrite(path, IMAGE.astype("i4"), **options)
    np.testing.assert_array_equal(read_image(str(path)), IMAGE)


def test_tiff_with_one_bit_per_pixel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", IMAGE.astype(bool))
    np.testing.assert_array_equal(read_image(str(tmp_path / "m.tif")) != 0, IMAGE != 0)


@pytest.mark.parametrize(
    ("data_type", "dtype"),
    [
        ("UnsignedByte", "u1"),
        ("SignedInteger", "i4"),
        ("FloatValue", "f4"),
        ("UnsignedShort", "u2"),
    ],
)
@pytest.mark.parametrize(("order", "sign"), [("LowByteFirst", "<"), ("HighByteFirst", ">")])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_edf(
    tmp_path: Path, data_type: str, dtype: str, order: str, sign: str, newline: bytes
) -> None:
    path = tmp_path / "m.edf"
    path.write_bytes(edf(IMAGE.astype(sign + dtype), data_type, order, newline))
    image = read_image(str(path))
    np.testing.assert_array_equal(image, IMAGE)
    assert image.dtype == np.dtype(dtype)


def test_edf_that_ends_too_early(tmp_path: Path) -> None:
    path = tmp_path / "m.edf"
    path.write_bytes(edf(IMAGE, "UnsignedByte", "LowByteFirst")[:-1])
    with pytest.raises(InputError, match=r"m\.edf: cannot be read as \.edf"):
        read_image(str(path))


@given(
    arrays(
        np.int64,
        (3, 4),
        elements=st.one_of(
            st.integers(-3, 3),
            st.sampled_from([127, 128, -128, 32767, 32768, -32768, 2**31 - 1, -(2**31), 2**40]),
            st.integers(-(2**33), 2**33),
        ),
    )
)
def test_cbf(tmp_path_factory: pytest.TempPathFactory, image: np.ndarray[Any, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "m.cbf"
    path.write_bytes(cbf(image))
    np.testing.assert_array_equal(read_image(str(path)), image)


def test_cbf_that_ends_too_early(tmp_path: Path) -> None:
    path = tmp_path / "m.cbf"
    path.write_bytes(cbf(IMAGE, size=7))
    with pytest.raises(InputError, match="the data end after 7 of 15 pixels"):
        read_image(str(path))
    path.write_bytes(cbf(np.full((1, 1), 70000), size=4))
    with pytest.raises(InputError, match="the data end after 0 of 1 pixels"):
        read_image(str(path))


def test_cbf_of_another_compression(tmp_path: Path) -> None:
    path = tmp_path / "m.cbf"
    path.write_bytes(cbf(IMAGE).replace(b"BYTE_OFFSET", b"PACKED"))
    with pytest.raises(InputError, match="only images with byte-offset compression"):
        read_image(str(path))


def test_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file["a/mask"] = IMAGE
        file["stack"] = np.zeros((2, 3, 5), "u1")
        file["name"] = "x"
    np.testing.assert_array_equal(read_image(str(path)), IMAGE)
    np.testing.assert_array_equal(read_image(f"{path}:/a/mask"), IMAGE)
    assert read_image(f"{path}:/stack").shape == (2, 3, 5)
    for wrong, why in (("/a", "no dataset of numbers"), ("/name", "no dataset of numbers")):
        with pytest.raises(InputError, match=rf"m\.h5:{wrong}: is {why}"):
            read_image(f"{path}:{wrong}")
    with pytest.raises(InputError, match=r"m\.h5:/b: there is no such dataset"):
        read_image(f"{path}:/b")


def test_hdf5_must_have_one_image(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    with h5py.File(path, "w"):
        pass
    with pytest.raises(InputError, match=r"found none; name the one to use: .*m\.h5:/path"):
        read_image(str(path))
    with h5py.File(path, "w") as file:
        file["a"] = IMAGE
        file["b"] = file["a"]
        file["c"] = IMAGE
    with pytest.raises(InputError, match=r"found 2 two-dimensional datasets \(/a, /c\)"):
        read_image(str(path))


@pytest.mark.parametrize("name", ["m.npy", "m.tif", "m.edf", "m.cbf"])
def test_rubbish_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="does not exist"):
        read_image(str(path))
    for content in (b"rubbish", bytes(2000), b"\x93NUMPY\x01\x00v\x00{", b"II*\0\x08\0\0\0"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: cannot be read as"):
            read_image(str(path))


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown kind of image file '\.png'; expected one of"):
        read_image(str(tmp_path / "m.png"))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_image(str(tmp_path / "m.npy"))
    np.save(tmp_path / "m.npy", np.array([["a"]]))
    with pytest.raises(InputError, match="expected numbers"):
        read_image(str(tmp_path / "m.npy"))
