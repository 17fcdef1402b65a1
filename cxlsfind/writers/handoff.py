"""How frames are presented to CrystFEL beside the files that hold them.

``hits.cxi`` has one group ``/run/NNNN`` per dataset with frames. CrystFEL finds its image, its
mask and its peaks by the name NNNN, which is the path part of the event, and the row, which is
its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import is_slab_unique
from cxlsfind.geometry.model import Dim, Geometry
from cxlsfind.records import SourceGroup


@dataclass(frozen=True, slots=True)
class HandOff:
    """The form of the groups, the same for all of them.

    Parameters
    ----------
    dims
        Roles of the dimensions of the datasets, one tuple per slab.
    """

    dims: tuple[tuple[Dim, ...], ...]

    @property
    def is_stacked(self) -> bool:
        """Whether a dataset holds many frames; else it is one image, and there are no rows."""
        return "%" in self.dims[0]

    def member(self, name: str, slab: int) -> str:
        """Return what the data or mask of a slab is called inside a group."""
        return name if len(self.dims) == 1 else f"{name}_{slab}"

    def event(self, group: int, row: int) -> str:
        """Return the event, in ``hits.cxi``, of a frame."""
        return f"{group_name(group)}//{row if self.is_stacked else ''}"


def group_name(group: int) -> str:
    """Return the name of a source group in ``hits.cxi``."""
    return f"{group:04d}"


def hand_off_obstacle(geometry: Geometry, layout: Layout, groups: Sequence[SourceGroup]) -> str:
    """Return why CrystFEL could not take these frames and their peaks from one table.

    Returns
    -------
    A clause without full stop; empty when nothing is in the way.
    """
    if not is_slab_unique(geometry):
        return (
            "panels of the geometry share pixel coordinates, and CrystFEL then cannot tell the "
            "panel of a listed peak"
        )
    keys = [(slab.data, slab.dims) for slab in layout.slabs]
    if len(set(keys)) < len(keys):
        return "panels of the geometry overlap in the data array"
    for group in groups:
        if group.obstacle or not group.links:
            return group.obstacle or "a frame's data cannot be linked to"
    forms = {tuple(link.dims for link in group.links) for group in groups}
    if len(forms) > 1:
        return "the frames lie in datasets of different dimensions"
    counts = {dims.count("%") for form in forms for dims in form}
    if len(counts) > 1 or max(counts, default=0) > 1:
        return "frames are numbered by more than one dimension of the data"
    return ""


def plan_hand_off(groups: Sequence[SourceGroup]) -> HandOff:
    """Return the form of the groups of a run without obstacle and with at least one group."""
    return HandOff(tuple(cast("tuple[Dim, ...]", link.dims) for link in groups[0].links))
