"""The ring of every pixel, made once for all threads, and for other processes to take over."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cxlsfind.geometry.layout import Layout
from cxlsfind.geometry.maps import radius_bins
from cxlsfind.geometry.model import Geometry
from cxlsfind.kernels.ring_map import RingMap, ring_map

#: Detector positions whose maps are kept; frames that follow each other share one.
_KEPT: Final = 4

Shift = tuple[float, float]
Key = tuple[Shift, str]


class RingStore:
    """Ring maps of a detector by its position.

    Parameters
    ----------
    geometry, layout
        Detector and frame array.
    """

    def __init__(self, geometry: Geometry, layout: Layout) -> None:
        self._geometry = geometry
        self._layout = layout
        self._maps: OrderedDict[Shift, RingMap] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, shift_m: Shift) -> RingMap:
        """Return the map for a shift (x, y) of the detector, metres."""
        with self._lock:  # the threads of a rank all want the same one at first
            rings = self._maps.get(shift_m)
            if rings is None:
                rings = ring_map(radius_bins(self._geometry, self._layout, shift_m))
                self._keep(shift_m, rings)
            return rings

    def arrays(self) -> dict[Key, npt.NDArray[Any]]:
        """Return what :meth:`adopt` needs to know all maps."""
        return {
            (shift, name): np.asarray(part)
            for shift, rings in self._maps.items()
            for name, part in rings._asdict().items()
        }

    def adopt(self, arrays: Mapping[Key, npt.NDArray[Any]]) -> None:
        """Take over the maps of another store for the same detector."""
        for shift in dict.fromkeys(shift for shift, _ in arrays):
            base, step, whole, n_rings = (arrays[shift, name] for name in RingMap._fields)
            self._keep(shift, RingMap(base, step, whole, int(n_rings)))

    def _keep(self, shift_m: Shift, rings: RingMap) -> None:
        self._maps[shift_m] = rings
        if len(self._maps) > _KEPT:
            self._maps.popitem(last=False)
