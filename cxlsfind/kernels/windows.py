"""Which panel a pixel of the frame array belongs to.

Windows are tables with one row per panel: start, stride, height, width; int64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxlsfind.kernels._jit import kernel


@kernel
def is_inside(pixel: int, window: npt.NDArray[np.int64]) -> bool:
    """Return whether a flat pixel lies in a window."""
    start, stride, height, width = window
    if pixel < start:
        return False
    ss = (pixel - start) // stride
    return bool(ss < height and pixel - start - ss * stride < width)


@kernel
def panel_of(pixel: int, windows: npt.NDArray[np.int64], guess: int) -> int:
    """Return the panel of a flat pixel, -1 for none; ``guess`` is a panel to try first."""
    if guess >= 0 and is_inside(pixel, windows[guess]):
        return guess
    for panel in range(windows.shape[0]):
        if is_inside(pixel, windows[panel]):
            return panel
    return -1


@kernel
def locate(
    pixels: npt.NDArray[np.int32],
    windows: npt.NDArray[np.int64],
    panels: npt.NDArray[np.int32],
) -> None:
    """Set the panel of each pixel; -1 for pixels outside all panels."""
    panel = -1
    for number in range(pixels.size):
        panel = panel_of(pixels[number], windows, panel)
        panels[number] = panel
