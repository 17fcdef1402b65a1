"""Maps over the frame array (radius, usability) and positions of peaks in reciprocal space.

All maps are made panel by panel and a few rows at a time, so that 16-megapixel detectors need no
more memory than the map itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import Layout, PanelWindow
from cxlsfind.geometry.model import BadRegion, Geometry, Panel
from cxlsfind.geometry.obstacles import panel_obstacles

_BLOCK_ROWS: Final = 32

_T = TypeVar("_T", bound=np.generic)
FloatArray = npt.NDArray[np.float64]
Shift = tuple[float, float]


def radii(
    geometry: Geometry, layout: Layout, shift_m: Shift = (0.0, 0.0)
) -> npt.NDArray[np.float32]:
    """Return every pixel's distance from the beam in pixels, as CrystFEL's peakfinder8 has it.

    That is the distance of the pixel's corner (not its centre) in pixel widths of its panel, with
    both coordinates truncated towards zero to whole pixels; camera length and ``coffset`` play no
    role. Coordinates are double precision, the result is rounded to single precision.

    Parameters
    ----------
    shift_m
        Shift (x, y) of the detector, metres.

    Returns
    -------
    Array of ``layout.n_pixels``; -1 outside all panels.

    Raises
    ------
    InputError
        A panel is impossible: empty, without a pixel size, absurdly far from the beam.
    """
    result = np.full(layout.n_pixels, -1.0, np.float32)
    for panel, window in _panels(geometry, layout):
        target = _plane(result, layout, window)
        for rows, x, y in _corner_blocks(panel, shift_m):
            np.trunc(x, out=x)
            np.trunc(y, out=y)
            target[rows] = np.sqrt(x * x + y * y)
    return result


def radius_bins(
    geometry: Geometry, layout: Layout, shift_m: Shift = (0.0, 0.0)
) -> npt.NDArray[np.int32]:
    """Return peakfinder8's radius bin of every pixel: :func:`radii`, rounded, halves to even.

    Returns
    -------
    Array of ``layout.n_pixels``, int32; -1 outside all panels.
    """
    result = radii(geometry, layout, shift_m)
    return np.rint(result, out=result).astype(np.int32)


def rings(geometry: Geometry, layout: Layout, shift_m: Shift = (0.0, 0.0)) -> npt.NDArray[np.int32]:
    """Return the ring of every pixel: the distance of its middle from the beam, in whole pixels.

    Unlike :func:`radius_bins`, which follows peakfinder8, these rings are round and centred.

    Returns
    -------
    Array of ``layout.n_pixels``, int32; -1 outside all panels.

    Raises
    ------
    InputError
        As :func:`radii`.
    """
    result = np.full(layout.n_pixels, -1, np.int32)
    for panel, window in _panels(geometry, layout):
        target = _plane(result, layout, window)
        for rows, x, y in _middle_blocks(panel, shift_m):
            target[rows] = np.hypot(x, y)
    return result


def sectors(
    geometry: Geometry, layout: Layout, number: int, shift_m: Shift = (0.0, 0.0)
) -> npt.NDArray[np.uint8]:
    """Return the sector of every pixel: its direction from the beam, from x towards y.

    Parameters
    ----------
    number
        Sectors of the whole turn, at most 256; the first begins at -x.

    Returns
    -------
    Array of ``layout.n_pixels``, uint8; 0 outside all panels.

    Raises
    ------
    InputError
        As :func:`radii`.
    """
    result = np.zeros(layout.n_pixels, np.uint8)
    for panel, window in _panels(geometry, layout):
        target = _plane(result, layout, window)
        for rows, x, y in _middle_blocks(panel, shift_m):
            turn = np.arctan2(y, x) / (2.0 * np.pi) + 0.5
            target[rows] = np.minimum(turn * number, number - 1)
    return result


def sector_angles(number: int) -> npt.NDArray[np.float64]:
    """Return the angles of the middles of sectors, as :func:`sectors` has them, rad."""
    return 2.0 * np.pi * ((np.arange(number) + 0.5) / number - 0.5)


def static_usable(
    geometry: Geometry, layout: Layout, shift_m: Shift = (0.0, 0.0)
) -> npt.NDArray[np.bool_]:
    """Return which pixels the geometry alone leaves usable.

    Bad are pixels outside all panels, panels with ``no_index`` (the whole panel, as is meant;
    CrystFEL masks a part of it), edges of ``mask_edge_pixels``, and bad regions: in data
    coordinates with their limits, in the laboratory strictly inside them, by the pixel's corner.

    Parameters
    ----------
    shift_m
        Shift (x, y) of the detector, metres; it moves the panels under regions in x/y.

    Returns
    -------
    Array of ``layout.n_pixels``, bool; ``False`` is bad.
    """
    result = np.zeros(layout.n_pixels, np.bool_)
    in_lab = [region for region in geometry.bad_regions if region.panel is None]
    for panel, window in _panels(geometry, layout):
        if panel.no_index:
            continue
        target = _plane(result, layout, window)
        edge = max(panel.mask_edge_pixels, 0)
        target[edge : max(window.height - edge, 0), edge : max(window.width - edge, 0)] = True
        for region in geometry.bad_regions:
            if region.panel == panel.name:
                _mask_data_region(target, panel, region)
        if in_lab:
            for rows, x, y in _corner_blocks(panel, shift_m):
                for region in in_lab:
                    low_x, high_x, low_y, high_y = region.limits
                    target[rows] &= ~((x > low_x) & (x < high_x) & (y > low_y) & (y < high_y))
    return result


def inverse_d(
    geometry: Geometry,
    panel: int,
    fs: npt.ArrayLike,
    ss: npt.ArrayLike,
    *,
    wavelength_m: float,
    clen_m: float,
    shift_m: Shift = (0.0, 0.0),
) -> FloatArray:
    """Return 1/d of positions on a panel.

    Parameters
    ----------
    panel
        Index into ``geometry.panels``.
    fs, ss
        Positions in the frame of the data array, pixels, from the corner of pixel 0 (so that the
        centre of a pixel is at one half).
    wavelength_m, clen_m, shift_m
        Wavelength, camera length and shift (x, y) of the detector, metres.

    Returns
    -------
    1/d per nanometre, in the shape of ``fs``: the length of the scattering vector q, without 2 pi.
    """
    at = geometry.panels[panel]
    steps_fs = np.asarray(fs, np.float64) - at.min_fs
    steps_ss = np.asarray(ss, np.float64) - at.min_ss
    x, y, z = (
        (start + steps_fs * at.fs[axis] + steps_ss * at.ss[axis]) / at.res
        for axis, start in enumerate((at.corner_x, at.corner_y, 0.0))
    )
    two_theta = np.arctan2(np.hypot(x + shift_m[0], y + shift_m[1]), z + (clen_m + at.coffset))
    return np.asarray(2.0 * np.sin(0.5 * two_theta) / wavelength_m * 1e-9)


def position_px(
    geometry: Geometry,
    panel: int,
    fs: npt.ArrayLike,
    ss: npt.ArrayLike,
    shift_m: Shift = (0.0, 0.0),
) -> FloatArray:
    """Return where positions on a panel lie from the beam, in pixels of the panel.

    Parameters
    ----------
    panel, fs, ss
        As in :func:`inverse_d`.
    shift_m
        Shift (x, y) of the detector, metres.

    Returns
    -------
    x and y, shape (n, 2).
    """
    at = geometry.panels[panel]
    steps_fs = np.asarray(fs, np.float64) - at.min_fs
    steps_ss = np.asarray(ss, np.float64) - at.min_ss
    x, y = (
        start + steps_fs * at.fs[axis] + steps_ss * at.ss[axis] + shift_m[axis] * at.res
        for axis, start in enumerate((at.corner_x, at.corner_y))
    )
    return np.column_stack([x, y])


def is_slab_unique(geometry: Geometry) -> bool:
    """Return whether fs and ss alone, in the data array, tell the panel of a position.

    CrystFEL needs that to read peak tables (``--peaks=cxi``): it looks for a panel whose range of
    the data array holds the peak, and drops the peak when there are several, as with modules that
    lie behind each other in the file.
    """
    return not any(
        a.min_fs <= b.max_fs
        and b.min_fs <= a.max_fs
        and a.min_ss <= b.max_ss
        and b.min_ss <= a.max_ss
        for a, b in combinations(geometry.panels, 2)
    )


def _panels(geometry: Geometry, layout: Layout) -> Iterator[tuple[Panel, PanelWindow]]:
    for panel, window in zip(geometry.panels, layout.windows, strict=True):
        for problem in panel_obstacles(panel):
            raise InputError(f"{geometry.file}: panel {panel.name} {problem}")
        yield panel, window


def _plane(flat: npt.NDArray[_T], layout: Layout, window: PanelWindow) -> npt.NDArray[_T]:
    """Return a view of one panel's pixels in a flat frame array."""
    slab = layout.slabs[window.slab]
    end = slab.offset + slab.shape[0] * slab.shape[1]
    top, left = divmod(window.start - slab.offset, window.stride)
    plane = flat[slab.offset : end].reshape(slab.shape)
    return plane[top : top + window.height, left : left + window.width]


def _corner_blocks(panel: Panel, shift_m: Shift) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield rows of a panel with x and y of their pixels' corners, in pixels.

    The order of the sums is CrystFEL's: the last digit decides where coordinates are truncated.
    """
    pitch = 1.0 / panel.res
    corner_x = panel.corner_x + shift_m[0] / pitch
    corner_y = panel.corner_y + shift_m[1] / pitch
    fs = np.arange(panel.width, dtype=np.float64)
    row_x, row_y = corner_x + fs * panel.fs[0], corner_y + fs * panel.fs[1]
    for start in range(0, panel.height, _BLOCK_ROWS):
        ss = np.arange(start, min(start + _BLOCK_ROWS, panel.height), dtype=np.float64)[:, None]
        rows = slice(start, start + len(ss))
        yield rows, row_x + ss * panel.ss[0], row_y + ss * panel.ss[1]


def _middle_blocks(panel: Panel, shift_m: Shift) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield rows of a panel with x and y of their pixels' middles, in pixels."""
    for rows, x, y in _corner_blocks(panel, shift_m):
        x += 0.5 * (panel.fs[0] + panel.ss[0])
        y += 0.5 * (panel.fs[1] + panel.ss[1])
        yield rows, x, y


def _mask_data_region(target: npt.NDArray[np.bool_], panel: Panel, region: BadRegion) -> None:
    low_fs, high_fs, low_ss, high_ss = (int(limit) for limit in region.limits)
    # Regions that name no panel in the file may reach outside it, or have their ends swapped.
    fs = slice(max(low_fs - panel.min_fs, 0), max(high_fs - panel.min_fs + 1, 0))
    ss = slice(max(low_ss - panel.min_ss, 0), max(high_ss - panel.min_ss + 1, 0))
    target[ss, fs] = False
