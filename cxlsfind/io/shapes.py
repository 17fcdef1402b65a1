"""Do the panels of a geometry lie inside the data, and if not, what is the likely slip."""

from __future__ import annotations

from cxlsfind.errors import InputError
from cxlsfind.geometry.layout import SlabKey, slab_key
from cxlsfind.geometry.model import Geometry, Panel

#: Data array (ss, fs) of detectors that are confused with one another.
_DETECTORS = {
    (514, 1030): "EIGER X 500K",
    (512, 1028): "EIGER2 500K",
    (1065, 1030): "EIGER X 1M",
    (1062, 1028): "EIGER2 1M",
    (2167, 2070): "EIGER X 4M",
    (2162, 2068): "EIGER2 4M",
    (2164, 2068): "JUNGFRAU 4M",
    (3269, 3110): "EIGER X 9M",
    (3262, 3108): "EIGER2 9M",
    (4371, 4150): "EIGER X 16M",
    (4362, 4148): "EIGER2 16M",
    (1679, 1475): "PILATUS 2M",
    (2527, 2463): "PILATUS 6M",
}


def check_shape(geometry: Geometry, key: SlabKey, shape: tuple[int, int], place: str) -> str | None:
    """Check that all panels of a slab lie inside its array.

    Parameters
    ----------
    shape
        Size (ss, fs) of the array.
    place
        The array, as named in the message.

    Returns
    -------
    A remark where the panels leave out rows or columns at the end: the geometry may be that of
    a smaller detector.

    Raises
    ------
    InputError
        One does not; the message names both sizes, and the remedy for common slips.
    """
    panels = [panel for panel in geometry.panels if slab_key(panel) == key]
    height = max(panel.max_ss for panel in panels) + 1
    width = max(panel.max_fs for panel in panels) + 1
    if (height, width) == shape:
        return None
    if height <= shape[0] and width <= shape[1]:
        return (
            f"the geometry covers {width} x {height} pixels (fs x ss){_detector((height, width))} "
            f"of data with {shape[1]} x {shape[0]}{_detector(shape)}"
        )
    raise InputError(
        f"{place}: the geometry is {width} x {height} (fs x ss){_detector((height, width))} but "
        f"the data are {shape[1]} x {shape[0]}{_detector(shape)}: "
        + _remedy(panels, (height, width), shape)
    )


def _remedy(panels: list[Panel], needed: tuple[int, int], shape: tuple[int, int]) -> str:
    excess = needed[0] - shape[0], needed[1] - shape[1]
    if needed == shape[::-1]:
        return "ss and fs are exchanged in the geometry, or the geometry is for turned data"
    if set(excess) <= {0, 1}:
        where = "in both directions" if all(excess) else "along " + ("ss" if excess[0] else "fs")
        limits = [f"max_fs = {shape[1] - 1}"] * excess[1] + [f"max_ss = {shape[0] - 1}"] * excess[0]
        return (
            f"one pixel too large {where}. max_fs and max_ss are inclusive: "
            f"write {', '.join(limits)}"
        )
    panel = next(p for p in panels if p.max_ss >= shape[0] or p.max_fs >= shape[1])
    return (
        f"panel {panel.name} (fs {panel.min_fs} to {panel.max_fs}, ss {panel.min_ss} to "
        f"{panel.max_ss}) lies outside; use the geometry of the detector that wrote the data"
    )


def _detector(shape: tuple[int, int]) -> str:
    name = _DETECTORS.get(shape)
    return f" ({name})" if name else ""
