"""Salts, against sums over atoms and spacings of powders that others have measured."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.sim.crystals.reflections import inverse_d
from cxlsfind.sim.crystals.salts import SALT_NAMES, load_salt

#: Sodium and chlorine of the International Tables (1992): a, b, c.
FACTORS = {
    "Na": ((4.7626, 3.1736, 1.2674, 1.1128), (3.2850, 8.8422, 0.3136, 129.424), 0.676),
    "Cl": ((11.4604, 7.1964, 6.2556, 1.6455), (0.0104, 1.1662, 18.5194, 47.7784), -9.5574),
}

#: Strong lines of powders, angstrom, as handbooks of mineralogy list them, the strongest first.
LINES = {
    "NaCl": (2.82, 1.99, 1.63),
    "KCl": (3.15, 2.22, 1.82),
    "K2SO4": (2.90, 3.00, 4.16),
    "(NH4)2SO4": (4.33, 4.39, 3.05),
    "Na2SO4": (2.78, 4.66, 3.18),
    "KH2PO4": (3.73, 2.91, 1.95),
    "NH4H2PO4": (5.32, 3.07, 3.75),
    "CaSO4.2H2O": (7.63, 4.28, 3.06),
}


def factor(element: str, inverse_square: float) -> float:
    heights, widths, constant = FACTORS[element]
    return constant + sum(
        height * np.exp(-width * inverse_square / 4)
        for height, width in zip(heights, widths, strict=True)
    )


def test_rock_salt_is_sums_and_differences_of_its_atoms() -> None:
    """Even indices add sodium and chlorine, odd ones subtract them."""
    crystal = load_salt("NaCl")
    known = dict(zip(map(tuple, crystal.hkl.tolist()), crystal.intensity, strict=True))
    for hkl, sign in (((1, 1, 1), -1), ((0, 0, 2), 1), ((2, 2, 2), 1), ((3, 1, 1), -1)):
        square = sum(h * h for h in hkl) / crystal.cell.a**2
        total = 4 * (factor("Na", square) + sign * factor("Cl", square))
        damped = (total * np.exp(-1.5 * square / 4)) ** 2
        assert known[hkl] == pytest.approx(damped, rel=1e-3)
    assert (2, 1, 1) not in known


@pytest.mark.parametrize("name", LINES)
def test_strong_lines_of_the_powder(name: str) -> None:
    """The three strongest lines of a powder are among its six strongest here."""
    crystal = load_salt(name)
    spacing = 1e10 / inverse_d(crystal.cell, crystal.hkl)
    # Lines nearer than 0.3 % are one.
    line = np.round(np.log(spacing) / 0.003).astype(int)
    keys = np.unique(line)
    mean = np.array([spacing[line == key].mean() for key in keys])
    strength = [(crystal.intensity * spacing**2)[line == key].sum() for key in keys]
    best = mean[np.argsort(strength)[::-1][:6]]
    for wanted in LINES[name]:
        assert np.abs(best / wanted - 1).min() < 0.012


def test_no_salt_has_wide_spacings() -> None:
    """Fewest planes are those of the largest cell: citrate's, 9.7 angstrom apart."""
    widest = max(1e10 / inverse_d(load_salt(n).cell, load_salt(n).hkl).min() for n in SALT_NAMES)
    assert widest == pytest.approx(9.67, abs=0.01)
