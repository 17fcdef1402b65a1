"""The light between the spots of a run, pooled by what its frames share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.records import FrameHeader, RingLight
from cxlsfind.writers.blocks import BlockOutput

FloatArray = npt.NDArray[np.float64]

#: Frames belong together whose photon energies differ by less than this part, camera lengths by
#: less than this, and shifts of the detector, metres: about a pixel.
_SAME_ENERGY: Final = 0.003
_SAME_CLEN_M: Final = 5e-4
_SAME_SHIFT_M: Final = 5e-5

#: Groups that are kept; a run that moves all the time has more than anyone could read.
_MOST_GROUPS: Final = 32


def ring_light(headers: Sequence[FrameHeader], cells: FloatArray | None) -> list[RingLight]:
    """Return the light of frames as a group, if they belong together.

    Parameters
    ----------
    headers
        Of the frames.
    cells
        Their light; ``None`` where there is none to be had.
    """
    if cells is None:
        return []
    energies = np.array([header.photon_energy_ev for header in headers])
    clens = np.array([header.clen_m for header in headers])
    if np.ptp(energies) > _SAME_ENERGY * energies.mean() or np.ptp(clens) > _SAME_CLEN_M:
        return []
    shift = headers[0].detector_shift_m
    return [RingLight(float(energies.mean()), float(clens.mean()), shift, len(headers), cells)]


class LightPool:
    """Pools the light of the blocks of a run, in input order."""

    def __init__(self) -> None:
        self._groups: list[RingLight] = []

    def take_from(self, blocks: Iterable[BlockOutput]) -> Iterator[BlockOutput]:
        """Yield the blocks without their light."""
        for block in blocks:
            for cells, row in zip(block.light, block.light_of.tolist(), strict=True):
                energy, clen, x, y, n_frames = row
                self._add(RingLight(energy, clen, (x, y), int(n_frames), cells))
            yield replace(block, light=block.light[:0], light_of=block.light_of[:0])

    def largest(self, number: int) -> list[RingLight]:
        """Return the groups with most photons, the first ones first."""
        return sorted(self._groups, key=lambda group: -float(group.cells[0].sum()))[:number]

    def _add(self, light: RingLight) -> None:
        for number, group in enumerate(self._groups):
            if _belong_together(group, light):
                self._groups[number] = replace(
                    group,
                    n_frames=group.n_frames + light.n_frames,
                    cells=_sum(group.cells, light.cells),
                )
                return
        if len(self._groups) < _MOST_GROUPS:
            self._groups.append(light)


def _belong_together(one: RingLight, other: RingLight) -> bool:
    """Tell whether light adds up; what a group began with counts, so that none drifts away."""
    apart = np.subtract(one.detector_shift_m, other.detector_shift_m)
    return (
        abs(one.photon_energy_ev - other.photon_energy_ev) <= _SAME_ENERGY * one.photon_energy_ev
        and abs(one.clen_m - other.clen_m) <= _SAME_CLEN_M
        and float(np.abs(apart).max()) <= _SAME_SHIFT_M
    )


def _sum(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the sum of light by ring, of which one may have more."""
    short, long = sorted((one, other), key=lambda cells: cells.shape[1])
    total = long.copy()
    total[:, : short.shape[1]] += short
    return total
