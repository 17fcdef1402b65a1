"""Panels of a simulated detector as the kernels need them, and where reflections land on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.model import Panel
from cxlsfind.kernels.sim_panels import PanelGrid
from cxlsfind.kernels.sim_photons import TILE

FloatArray = npt.NDArray[np.float64]


def panel_grid(
    panels: tuple[Panel, ...], shape: tuple[int, int], clen_m: float, shift_m: tuple[float, float]
) -> PanelGrid:
    """Return the panels of one data array, placed in space.

    Parameters
    ----------
    shape
        Size (ss, fs) of the data array.
    clen_m
        Camera length, metres.
    shift_m
        Shift (x, y) of the detector, metres.
    """
    matrix = np.empty((len(panels), 3, 3))
    window = np.empty((len(panels), 4), np.int64)
    for row, panel in enumerate(panels):
        matrix[row, :, 0] = panel.fs
        matrix[row, :, 1] = panel.ss
        matrix[row, :, 2] = (panel.corner_x, panel.corner_y, 0.0)
        matrix[row] /= panel.res
        matrix[row, :, 2] += (*shift_m, clen_m + panel.coffset)
        first = panel.min_ss * shape[1] + panel.min_fs
        window[row] = (first, shape[1], panel.width, panel.height)
    return PanelGrid(matrix, np.asarray(np.linalg.inv(matrix), np.float64), window)


class PixelTables:
    """Which pixels of the frame array are whose, wherever the detector stands.

    Parameters
    ----------
    n_pixels
        Length of the frame array.
    """

    def __init__(self, grid: PanelGrid, n_pixels: int) -> None:
        #: Panel of every pixel; -1 for none; int16.
        self.panel_of = np.full(n_pixels, -1, np.int16)
        rows: list[tuple[int, ...]] = []
        for panel, (first, stride, width, height) in enumerate(grid.window.tolist()):
            start = first + stride * np.arange(height)[:, None]
            self.panel_of[(start + np.arange(width)).ravel()] = panel
            for top in range(0, height, TILE[0]):
                bottom = min(top + TILE[0], height)
                rows += [
                    (panel, top, bottom, left, min(left + TILE[1], width))
                    for left in range(0, width, TILE[1])
                ]
        #: The panels cut into tiles, as :func:`~cxlsfind.kernels.sim_photons.draw_photons` has
        #: them, and the number of pixels in each.
        self.tiles = np.array(rows, np.int64)
        self.tile_pixels = np.diff(self.tiles[:, 1:3])[:, 0] * np.diff(self.tiles[:, 3:])[:, 0]


def beam_position(grid: PanelGrid) -> tuple[float, float]:
    """Return where the plane of the first panel meets the beam: (fs, ss) in the data array, px."""
    fs, ss, depth = grid.inverse[0][:, 2].tolist()
    min_ss, min_fs = divmod(int(grid.window[0, 0]), int(grid.window[0, 1]))
    return fs / depth + min_fs, ss / depth + min_ss


def shift_to(panel: Panel, centre_px: tuple[float, float] | None) -> tuple[float, float]:
    """Return the shift (x, y) of the detector, metres, that moves a place on a panel to the beam.

    Parameters
    ----------
    centre_px
        The place (fs, ss), px from the corner of pixel 0 of the data array; ``None``: no shift.
    """
    if centre_px is None:
        return 0.0, 0.0
    fs, ss = centre_px[0] - panel.min_fs, centre_px[1] - panel.min_ss
    x = panel.corner_x + fs * panel.fs[0] + ss * panel.ss[0]
    y = panel.corner_y + fs * panel.fs[1] + ss * panel.ss[1]
    return -x / panel.res, -y / panel.res


def farthest_tangent(grid: PanelGrid) -> float:
    """Return the largest tangent of the angle with the beam that a pixel sees."""
    farthest = 0.0
    for matrix, (_, _, width, height) in zip(grid.matrix, grid.window, strict=True):
        corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
        farthest = max(farthest, float((np.hypot(corners[0], corners[1]) / corners[2]).max()))
    return farthest


@dataclass(frozen=True, slots=True, eq=False)
class Landing:
    """Where directions meet panels; one element per direction that meets one.

    Parameters
    ----------
    row
        Which of the directions.
    panel
        Which panel; the first that lies in the way.
    fs, ss
        Place on the panel, px from its corner.
    depth
        Third coordinate of the direction in the panel's frame: its length over that is the
        distance, in metres.
    """

    row: npt.NDArray[np.intp]
    panel: npt.NDArray[np.int64]
    fs: FloatArray
    ss: FloatArray
    depth: FloatArray


def land(grid: PanelGrid, directions: FloatArray, margin_px: float = 0.0) -> Landing:
    """Return where directions meet panels.

    Parameters
    ----------
    directions
        Of any length, shape (n, 3).
    margin_px
        How far beyond the edge of a panel still counts.
    """
    panel = np.full(len(directions), -1, np.int64)
    place = np.zeros((len(directions), 3))
    for number, (inverse, window) in enumerate(zip(grid.inverse, grid.window, strict=True)):
        seen = directions @ inverse.T
        with np.errstate(divide="ignore", invalid="ignore"):
            fs, ss = seen[:, 0] / seen[:, 2], seen[:, 1] / seen[:, 2]
        hit = (seen[:, 2] > 0) & (fs >= -margin_px) & (fs < window[2] + margin_px)
        hit &= (ss >= -margin_px) & (ss < window[3] + margin_px) & (panel < 0)
        panel[hit] = number
        place[hit] = np.column_stack([fs, ss, seen[:, 2]])[hit]
    row = np.flatnonzero(panel >= 0)
    return Landing(row, panel[row], place[row, 0], place[row, 1], place[row, 2])
