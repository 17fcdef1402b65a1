"""Masks that a user brings along: ``--mask FILE --mask-bad=0|1|nonzero``."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, SlabKey
from cxlsfind.io.image_files import read_image

BadValue = Literal["0", "1", "nonzero"]


def read_mask_file(
    name: str, layout: Layout, bad: BadValue = "nonzero"
) -> tuple[npt.NDArray[np.bool_], str]:
    """Read a mask and lay it out like a frame.

    Parameters
    ----------
    name
        File as in :func:`cxlsfind.io.image_files.read_image`. The array must have the shape
        of the data array; where a geometry has several, they must be of one size and the mask
        stacks them, [slab, ss, fs] or one below the other.
    bad
        Which value marks a bad pixel. Pixels that are NaN are bad in any case.

    Returns
    -------
    Frame array, true for usable pixels; and a sentence with the number of bad pixels.

    Raises
    ------
    InputError
        The file cannot be read, has another shape, or leaves no pixel.
    """
    image = read_image(name)
    if bad == "nonzero":
        usable = image == 0
    elif bad in ("0", "1"):
        usable = (image != int(bad)) & ~np.isnan(image)
    else:
        raise InputError(f"--mask-bad={bad}: expected 0, 1 or nonzero")
    n_bad = int(np.count_nonzero(~usable))
    if n_bad == image.size:
        raise InputError(
            f"{name}: all {image.size} pixels are bad with --mask-bad={bad}; "
            f"{_describe_values(image)}"
        )
    note = f"mask {name}: {n_bad} of {image.size} pixels are bad (--mask-bad={bad})"
    if 2 * n_bad > image.size:
        note += f", more than half of them: is this the right --mask-bad? {_describe_values(image)}"
    return _lay_out(name, usable, layout), note


def _describe_values(image: npt.NDArray[Any]) -> str:
    values, counts = np.unique(image, return_counts=True)
    listed = ", ".join(f"{v} ({n} pixels)" for v, n in zip(values[:4], counts[:4], strict=True))
    return f"its values are {listed}{', ...' if len(values) > 4 else ''}"


def _lay_out(name: str, usable: npt.NDArray[np.bool_], layout: Layout) -> npt.NDArray[np.bool_]:
    # A slab is listed twice where panels share its pixels.
    distinct: dict[SlabKey, tuple[int, int]] = {}
    for slab in layout.slabs:
        distinct.setdefault((slab.data, slab.dims), slab.shape)
    planes = _split(name, usable, list(distinct.values()))
    by_key = dict(zip(distinct, planes, strict=True))
    return np.concatenate([by_key[slab.data, slab.dims].ravel() for slab in layout.slabs])


def _split(
    name: str, usable: npt.NDArray[np.bool_], shapes: list[tuple[int, int]]
) -> list[npt.NDArray[np.bool_]]:
    """Return one plane per distinct slab."""
    height, width = shapes[0]
    if len(set(shapes)) > 1:
        raise InputError(
            f"{name}: the data arrays of this geometry differ in size; "
            "masks for them can only be named in the geometry (mask = ...)"
        )
    n = len(shapes)
    accepted = [(n, height, width), (n * height, width)]
    if usable.shape in accepted:
        return list(usable.reshape(n, height, width))
    expected = " or ".join(str(shape) for shape in (accepted[:0:-1] if n == 1 else accepted))
    hint = ""
    if usable.shape[::-1] == accepted[1]:
        hint = ": the mask is transposed (fs and ss exchanged)"
    raise InputError(f"{name}: the mask has shape {usable.shape}, the data {expected}{hint}")
