"""Which pixels of a frame are bright, that is above the upper limit of their ring."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel
from cxlsfind.kernels.rings import RingLimits

#: Bits of ``Image.state``.
CLAIMED: Final = np.uint8(1)
BAD: Final = np.uint8(2)
CENSORED: Final = np.uint8(4)


class Image(NamedTuple):
    """A frame and what is known of its pixels; flat arrays of equal length.

    Parameters
    ----------
    values
        Pixel values; float32.
    state
        Bits ``CLAIMED`` (pixel of a peak), ``BAD`` (in this frame), ``CENSORED``; uint8.
    usable
        Pixels the run's mask lets through.
    rings
        Ring of each pixel; 0 and less are none.
    windows
        One row per panel: start, stride, height, width; int64.
    max_adu
        Saturation value per panel; float32.
    """

    values: npt.NDArray[np.float32]
    state: npt.NDArray[np.uint8]
    usable: npt.NDArray[np.bool_]
    rings: npt.NDArray[np.int32]
    windows: npt.NDArray[np.int64]
    max_adu: npt.NDArray[np.float32]


@kernel
def list_near(
    index: npt.NDArray[np.int32],
    bright: npt.NDArray[np.int32],
    reach: int,
    near: npt.NDArray[np.int32],
) -> int:
    """List the photons no further than ``reach``, in the frame array, from a bright pixel.

    Parameters
    ----------
    index, bright
        Flat pixels, ascending.
    near
        Result, as long as ``index``: positions in it, ascending.

    Returns
    -------
    Number of photons listed.
    """
    n_near, first = 0, 0
    for photon in range(index.size):
        while first < bright.size and bright[first] + reach < index[photon]:
            first += 1
        if first == bright.size:
            break
        if bright[first] - reach <= index[photon]:
            near[n_near] = photon
            n_near += 1
    return n_near


@kernel
def scatter_counts(
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    values: npt.NDArray[np.float32],
) -> None:
    """Write photon counts to their pixels of a full frame."""
    for photon in range(index.size):
        values[index[photon]] = np.float32(count[photon])


@kernel
def clear_counts(index: npt.NDArray[np.int32], values: npt.NDArray[np.float32]) -> None:
    """Set the pixels of a photon list to zero in a full frame."""
    for photon in range(index.size):
        values[index[photon]] = np.float32(0)


@kernel
def locate(
    pixels: npt.NDArray[np.int32],
    windows: npt.NDArray[np.int64],
    panels: npt.NDArray[np.int32],
) -> None:
    """Set the panel of each pixel; -1 for pixels outside all panels."""
    panel = 0
    for number in range(pixels.size):
        pixel = pixels[number]
        if not _is_inside(pixel, windows[panel]):
            panel = 0
            while panel < windows.shape[0] and not _is_inside(pixel, windows[panel]):
                panel += 1
        panels[number] = panel if panel < windows.shape[0] else -1
        panel %= windows.shape[0]


@kernel
def _is_inside(pixel: int, window: npt.NDArray[np.int64]) -> bool:
    start, stride, height, width = window
    if pixel < start:
        return False
    ss = (pixel - start) // stride
    return bool(ss < height and pixel - start - ss * stride < width)


@kernel
def select_bright_photons(
    index: npt.NDArray[np.int32],
    count: npt.NDArray[np.uint32],
    image: Image,
    limits: RingLimits,
    threshold: np.float32,
    bright: npt.NDArray[np.int32],
) -> int:
    """List the bright pixels of a photon list.

    Parameters
    ----------
    index, count
        Pixels with photons. ``image.values`` is not used.
    threshold
        No upper limit is below this.
    bright
        Result: flat pixels, ascending.

    Returns
    -------
    Number of bright pixels.
    """
    n_bright = 0
    for photon in range(index.size):
        value = np.float32(count[photon])
        if value <= threshold or not is_free(image, index[photon]):
            continue
        if value > limits.upper[image.rings[index[photon]]]:
            bright[n_bright] = index[photon]
            n_bright += 1
    return n_bright


@kernel
def select_bright_pixels(image: Image, limits: RingLimits, bright: npt.NDArray[np.int32]) -> int:
    """List the bright pixels of a full frame, panel after panel; return their number.

    ``bright`` is as long as the frame.
    """
    values, upper, rings = image.values, limits.upper, image.rings  # outside the loop: faster
    n_bright = 0
    for panel in range(image.windows.shape[0]):
        start, stride, height, width = image.windows[panel]
        for ss in range(height):
            for pixel in range(start + ss * stride, start + ss * stride + width):
                ring = rings[pixel]
                if ring > 0 and values[pixel] > upper[ring] and is_free(image, pixel):
                    bright[n_bright] = pixel
                    n_bright += 1
    return n_bright


@kernel
def is_free(image: Image, pixel: int) -> bool:
    """Return whether a pixel is good and belongs to no peak yet."""
    return bool(
        image.usable[pixel] and image.rings[pixel] > 0 and not image.state[pixel] & (CLAIMED | BAD)
    )


@kernel
def is_bright(image: Image, limits: RingLimits, pixel: int) -> bool:
    """Return whether a free pixel is above the upper limit of its ring."""
    return bool(image.values[pixel] > limits.upper[image.rings[pixel]])
