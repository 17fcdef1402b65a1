"""Symmetry of crystals: operators, and what they do to reflections.

An operator is a rotation with a translation, written as in the International Tables:
``-y+1/2,x+1/2,z+3/4``. A handful of generators gives a whole group.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.errors import InputError

#: Translations are counted in 24ths of an axis, in which all space groups' are whole numbers.
_STEPS: Final = 24
#: No space group has more operators, centring included.
_MOST: Final = 192

#: Translations of the centrings beside the identity.
CENTRINGS: Final = {
    "P": (),
    "A": ("x,y+1/2,z+1/2",),
    "B": ("x+1/2,y,z+1/2",),
    "C": ("x+1/2,y+1/2,z",),
    "I": ("x+1/2,y+1/2,z+1/2",),
    "F": ("x,y+1/2,z+1/2", "x+1/2,y,z+1/2"),
    "H": ("x+2/3,y+1/3,z+1/3",),
}

#: Generators of point groups by the names that reflection lists use: CrystFEL's, in which an
#: axis that is not c is named by ``_ua`` and its letter.
POINT_GROUPS: Final = {
    "1": (),
    "2": ("-x,-y,z",),
    "2_uab": ("-x,y,-z",),
    "2_uaa": ("x,-y,-z",),
    "222": ("-x,-y,z", "x,-y,-z"),
    "4": ("-y,x,z",),
    "422": ("-y,x,z", "x,-y,-z"),
    "3_H": ("-y,x-y,z",),
    "312_H": ("-y,x-y,z", "-y,-x,-z"),
    "321_H": ("-y,x-y,z", "y,x,-z"),
    "3_R": ("z,x,y",),
    "32_R": ("z,x,y", "-y,-x,-z"),
    "6": ("x-y,x,z",),
    "622": ("x-y,x,z", "y,x,-z"),
    "23": ("z,x,y", "-x,-y,z", "x,-y,-z"),
    "432": ("z,x,y", "-y,x,z"),
}

#: Laue groups, and groups of higher symmetry that lists of intensities name, by the rotations
#: that make them together with the inversion.
_LAUE_GROUPS: Final = {
    "-1": "1",
    "2/m": "2",
    "2/m_uab": "2_uab",
    "2/m_uaa": "2_uaa",
    "mmm": "222",
    "4/m": "4",
    "4/mmm": "422",
    "-3_H": "3_H",
    "-31m_H": "312_H",
    "-3m1_H": "321_H",
    "-3_R": "3_R",
    "-3m_R": "32_R",
    "6/m": "6",
    "6/mmm": "622",
    "m-3": "23",
    "m-3m": "432",
}

_Operator = tuple[int, ...]  # nine elements of the rotation, row by row, then the translation


@dataclass(frozen=True, slots=True, eq=False)
class SymmetryGroup:
    """A group of operators.

    Parameters
    ----------
    rotations
        Shape (n, 3, 3), int64.
    translations
        In 24ths of the axes, shape (n, 3), int64.
    """

    rotations: npt.NDArray[np.int64]
    translations: npt.NDArray[np.int64]

    @property
    def point_rotations(self) -> npt.NDArray[np.int64]:
        """Distinct rotations, with the inversion: the Laue group; shape (m, 3, 3)."""
        both = np.concatenate([self.rotations, -self.rotations])
        return np.unique(both.reshape(-1, 9), axis=0).reshape(-1, 3, 3)

    def absent(self, hkl: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which reflections screw axes, glide planes and centring extinguish."""
        result = np.zeros(len(hkl), np.bool_)
        for images, phase in self._images(hkl):
            result |= (images == hkl).all(axis=1) & (phase % _STEPS != 0)
        return result

    def centric(self, hkl: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
        """Return which reflections the group's rotations turn into their Friedel mates."""
        result = np.zeros(len(hkl), np.bool_)
        for images, _ in self._images(hkl):
            result |= (images == -hkl).all(axis=1)
        return result

    def multiplicity(self, hkl: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return epsilon: how many operators leave a reflection where it is.

        The mean intensity of such reflections is that many times that of others (centring
        counts, as it does in the sum over atoms of the cell).
        """
        result = np.zeros(len(hkl), np.int64)
        for images, _ in self._images(hkl):
            result += (images == hkl).all(axis=1)
        return result

    def _images(
        self, hkl: npt.NDArray[np.integer]
    ) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        hkl = hkl.astype(np.int64)
        return [
            (hkl @ rotation, hkl @ translation)
            for rotation, translation in zip(self.rotations, self.translations, strict=True)
        ]


def symmetry_group(generators: tuple[str, ...], centring: str = "P") -> SymmetryGroup:
    """Return the group that operators generate.

    Raises
    ------
    InputError
        A generator cannot be understood, the centring is unknown, or there is no such group.
    """
    if centring not in CENTRINGS:
        known = ", ".join(CENTRINGS)
        raise InputError(f"the centring {centring!r} is unknown: expected one of {known}")
    made = [_parse(text) for text in (*generators, *CENTRINGS[centring])]
    group = {_parse("x,y,z")}
    fresh = set(group)
    while fresh:
        fresh = {_product(one, other) for one in fresh for other in made} - group
        group |= fresh
        if len(group) > _MOST:
            raise InputError(f"the operators {'; '.join(generators)} do not make a space group")
    table = np.array(sorted(group), np.int64)
    return SymmetryGroup(table[:, :9].reshape(-1, 3, 3), table[:, 9:])


def point_group(name: str, centring: str = "P") -> SymmetryGroup:
    """Return the rotations of a point group or Laue group, by CrystFEL's names.

    Raises
    ------
    InputError
        The name is unknown.
    """
    key = name if name in POINT_GROUPS else _LAUE_GROUPS.get(name)
    if key is None:
        known = ", ".join((*POINT_GROUPS, *_LAUE_GROUPS))
        raise InputError(f"the point group {name!r} is unknown: expected one of {known}")
    return symmetry_group(POINT_GROUPS[key], centring)


def _parse(text: str) -> _Operator:
    """Return the operator of a triplet such as ``-y+1/2,x-y,z``."""
    parts = text.replace(" ", "").lower().split(",")
    rotation, translation = [], []
    for part in parts:
        row, shift = _parse_part(part, text)
        rotation += row
        translation.append(shift)
    if len(parts) != 3:
        raise InputError(f"{text!r} is no operator of a space group: expected three parts")
    return (*rotation, *translation)


def _parse_part(part: str, text: str) -> tuple[list[int], int]:
    row = [0, 0, 0]
    shift = Fraction(0)
    for term in part.replace("-", "+-").split("+"):
        sign = -1 if term.startswith("-") else 1
        body = term.lstrip("-")
        if body in ("x", "y", "z"):
            row["xyz".index(body)] += sign
        elif body:
            try:
                shift += sign * Fraction(body)
            except (ValueError, ZeroDivisionError):
                raise InputError(
                    f"{text!r} is no operator of a space group: expected one like '-y+1/2,x,z'"
                ) from None
    return row, int(shift * _STEPS) % _STEPS


def _product(one: _Operator, other: _Operator) -> _Operator:
    """Return the operator that does ``other`` first, then ``one``."""
    rotation = np.array(one[:9]).reshape(3, 3)
    product = rotation @ np.array(other[:9]).reshape(3, 3)
    shift = (rotation @ np.array(other[9:]) + np.array(one[9:])) % _STEPS
    return (*(int(x) for x in product.ravel()), *(int(x) for x in shift))
