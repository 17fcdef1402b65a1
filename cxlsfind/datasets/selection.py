"""Which frames of a tree are meant: by number of the data set and by condition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cxlsfind.datasets.catalog import Entry
from cxlsfind.errors import UsageError

#: Conditions that differ by less than this share are the same.
_TOLERANCE = 1e-6

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Selection:
    """A choice of frames; what is left empty does not matter.

    Parameters
    ----------
    datasets
        Numbers of data sets.
    photon_energies_ev, clens_m
        Intervals, both ends included.
    crystals
        Names of crystals.
    backgrounds
        What the background was drawn from.
    """

    datasets: frozenset[int] = frozenset()
    photon_energies_ev: tuple[Interval, ...] = ()
    clens_m: tuple[Interval, ...] = ()
    crystals: frozenset[str] = frozenset()
    backgrounds: frozenset[str] = frozenset()

    def picks(self, entry: Entry) -> bool:
        """Return whether a frame is chosen."""
        return (
            (not self.datasets or entry.dataset in self.datasets)
            and _is_within(entry.photon_energy_ev, self.photon_energies_ev)
            and _is_within(entry.clen_m, self.clens_m)
            and (not self.crystals or entry.crystal in self.crystals)
            and (not self.backgrounds or entry.background in self.backgrounds)
        )

    def of(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """Return the chosen frames, in order."""
        return tuple(entry for entry in entries if self.picks(entry))


def parse_datasets(text: str) -> frozenset[int]:
    """Return the numbers in a list such as ``01,03-05``.

    Raises
    ------
    UsageError
        It is no such list.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"{text!r} is no list of data sets: write it like 01,03-05")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def _is_within(value: float, intervals: tuple[Interval, ...]) -> bool:
    slack = _TOLERANCE * abs(value)
    return not intervals or any(low - slack <= value <= high + slack for low, high in intervals)
