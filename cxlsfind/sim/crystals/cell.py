"""Unit cells: axes, volume and the reciprocal lattice."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError

_ANGSTROM: Final = 1e-10

#: A line ``key = value unit`` of CrystFEL's unit cell files.
_CELL_LINE: Final = re.compile(r"^\s*(a|b|c|al|be|ga)\s*=\s*([-+.\deE]+)\s*(\S*)")
_UNITS: Final = {"A": 1.0, "nm": 10.0, "deg": 1.0, "rad": 180.0 / math.pi}


@dataclass(frozen=True, slots=True)
class UnitCell:
    """A unit cell.

    Parameters
    ----------
    a, b, c
        Lengths of the axes, angstrom.
    alpha, beta, gamma
        Angles between them, degrees.

    Raises
    ------
    InputError
        There is no cell with these axes and angles.
    """

    a: float
    b: float
    c: float
    alpha: float = 90.0
    beta: float = 90.0
    gamma: float = 90.0

    def __post_init__(self) -> None:
        """Refuse axes that span no volume."""
        angles = (self.alpha, self.beta, self.gamma)
        if (
            not all(0.0 < axis < math.inf for axis in (self.a, self.b, self.c))
            or not all(0.0 < angle < 180.0 for angle in angles)
            or self._squared_share <= 0.0
        ):
            raise InputError(
                f"the cell {self} is impossible: expected three lengths in angstrom above zero, "
                "and three angles in degrees that close around a corner"
            )

    def __str__(self) -> str:
        """Return the six numbers, as they are usually given."""
        numbers = (self.a, self.b, self.c, self.alpha, self.beta, self.gamma)
        return " ".join(f"{number:g}" for number in numbers)

    @property
    def _squared_share(self) -> float:
        """Square of the volume over that of a box with the same edges."""
        cosines = [math.cos(math.radians(x)) for x in (self.alpha, self.beta, self.gamma)]
        return 1.0 - sum(x * x for x in cosines) + 2.0 * math.prod(cosines)

    @property
    def volume_m3(self) -> float:
        """Volume, cubic metres."""
        return self.a * self.b * self.c * math.sqrt(self._squared_share) * _ANGSTROM**3

    @property
    def reciprocal(self) -> npt.NDArray[np.float64]:
        """Reciprocal axes a*, b*, c* as columns, per metre, shape (3, 3): q = matrix @ hkl.

        Without 2 pi: the length of q is 1/d. In the setting of the Protein Data Bank, a along x
        and b in the plane of x and y.
        """
        angles = (self.alpha, self.beta, self.gamma)
        cos_a, cos_b, cos_g = (math.cos(math.radians(angle)) for angle in angles)
        sin_g = math.sin(math.radians(self.gamma))
        direct = np.array(
            [
                [self.a, 0.0, 0.0],
                [self.b * cos_g, self.b * sin_g, 0.0],
                [
                    self.c * cos_b,
                    self.c * (cos_a - cos_b * cos_g) / sin_g,
                    self.c * math.sqrt(self._squared_share) / sin_g,
                ],
            ]
        )
        return np.asarray(np.linalg.inv(direct * _ANGSTROM), np.float64)


def read_cell(path: Path) -> UnitCell:
    """Read CrystFEL's unit cell file.

    Raises
    ------
    InputError
        The file cannot be read, or lacks one of the six numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a unit cell file: {error}") from error
    found: dict[str, float] = {}
    for line in lines:
        match = _CELL_LINE.match(line)
        if match is not None:
            key, number, unit = match.groups()
            try:
                found[key] = float(number) * _UNITS[unit]
            except (ValueError, KeyError):
                raise InputError(
                    f"{path}: '{line.strip()}' is no number with a unit (A, nm or deg)"
                ) from None
    missing = [key for key in ("a", "b", "c", "al", "be", "ga") if key not in found]
    if missing:
        raise InputError(f"{path}: gives no {', '.join(missing)}; expected lines like 'a = 79.1 A'")
    return UnitCell(*(found[key] for key in ("a", "b", "c", "al", "be", "ga")))
