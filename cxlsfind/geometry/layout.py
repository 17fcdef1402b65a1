"""Where panels lie in the flat frame array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxlsfind.geometry.model import Dim, Geometry, Panel

SlabKey = tuple[str, tuple[Dim, ...]]


@dataclass(frozen=True, slots=True)
class Slab:
    """One two-dimensional array of a frame: a data path and the fixed dimensions inside it.

    Parameters
    ----------
    data
        HDF5 path as the geometry writes it, with its ``%``.
    dims
        Role of each dimension; a number is a fixed index.
    shape
        (ss, fs) size in the file.
    offset
        Where the slab starts in the frame array.
    """

    data: str
    dims: tuple[Dim, ...]
    shape: tuple[int, int]
    offset: int


@dataclass(frozen=True, slots=True)
class PanelWindow:
    """The pixels of one panel inside the frame array.

    Pixel (ss, fs) of the panel, counted from its own corner, is element
    ``start + ss * stride + fs`` of the frame array.
    """

    panel: int
    slab: int
    start: int
    stride: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The frame array of a geometry: its slabs, and the window of every panel (in panel order)."""

    slabs: tuple[Slab, ...]
    windows: tuple[PanelWindow, ...]

    @property
    def n_pixels(self) -> int:
        """Length of the frame array."""
        last = self.slabs[-1]
        return last.offset + last.shape[0] * last.shape[1]


def slab_key(panel: Panel) -> SlabKey:
    """Return what tells the slab of a panel from others: data path and dimensions."""
    return panel.data, panel.dims


def build_layout(geometry: Geometry, shapes: Mapping[SlabKey, tuple[int, int]]) -> Layout:
    """Lay the slabs of a geometry out in one flat array.

    Panels that share pixels of the file get copies of the slab of their own, so that a pixel
    of the frame array belongs to one panel at most.

    Parameters
    ----------
    shapes
        Size (ss, fs) in the file of every slab, by :func:`slab_key`.
    """
    placed: list[tuple[SlabKey, list[int]]] = []
    home: list[int] = []
    for number, panel in enumerate(geometry.panels):
        key = slab_key(panel)
        for slab, (other, members) in enumerate(placed):
            if other == key and not any(_overlap(panel, geometry.panels[m]) for m in members):
                members.append(number)
                home.append(slab)
                break
        else:
            placed.append((key, [number]))
            home.append(len(placed) - 1)

    slabs: list[Slab] = []
    offset = 0
    for (data, dims), _ in placed:
        shape = shapes[data, dims]
        slabs.append(Slab(data, dims, shape, offset))
        offset += shape[0] * shape[1]

    windows = tuple(
        PanelWindow(
            panel=number,
            slab=home[number],
            start=slabs[home[number]].offset
            + panel.min_ss * slabs[home[number]].shape[1]
            + panel.min_fs,
            stride=slabs[home[number]].shape[1],
            height=panel.height,
            width=panel.width,
        )
        for number, panel in enumerate(geometry.panels)
    )
    return Layout(tuple(slabs), windows)


def _overlap(a: Panel, b: Panel) -> bool:
    return (
        a.min_fs <= b.max_fs
        and b.min_fs <= a.max_fs
        and a.min_ss <= b.max_ss
        and b.min_ss <= a.max_ss
    )
