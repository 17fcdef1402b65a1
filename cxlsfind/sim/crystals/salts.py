"""Salts that crystallise beside proteins: their cells, and intensities from their atoms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from cxlsfind.sim.crystals.atoms import load_gemmi, space_group
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import Crystal, half_sphere, inverse_d
from cxlsfind.sim.crystals.wilson import WilsonRecipe, wilson_crystal

#: Resolution of the lists, metres: no detector sees more of the faintest spots.
_D_MIN_M: Final = 1.1e-10
#: B factor of all atoms, square angstrom: that of salts at room temperature, roughly.
_B_FACTOR: Final = 1.5
#: Relative distance of lines that are told apart, and their least strength over the strongest.
_LINE_WIDTH: Final = 0.003
_FAINTEST_LINE: Final = 0.01
#: Salts have few lines of wider spacings than this, angstrom.
_FEW_LINES: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Salt:
    """Cell, space group, and the atoms of the asymmetric unit: element, place in the cell.

    Without atoms the intensities are Wilson's, with as many atoms as fit into the cell.
    """

    cell: UnitCell
    group: str
    atoms: tuple[tuple[str, float, float, float], ...] = ()


def _rock_salt(edge: float, *elements: str) -> _Salt:
    atoms = tuple((name, x, 0.0, 0.0) for name, x in zip(elements, (0.0, 0.5), strict=True))
    return _Salt(UnitCell(edge, edge, edge), "F m -3 m", atoms)


#: Potassium sulfate: McGinnety, Acta Cryst. B28, 2845 (1972).
_ARCANITE: Final = (
    ("K", 0.67413, 0.25, 0.41051),
    ("K", -0.01104, 0.25, 0.70498),
    ("S", 0.23303, 0.25, 0.41971),
    ("O", 0.03796, 0.25, 0.41639),
    ("O", 0.29640, 0.25, 0.55809),
    ("O", 0.30126, 0.04144, 0.35250),
)

_SALTS: Final = {
    # Rock salt structures, Wyckoff, Crystal Structures 1 (1963).
    "NaCl": _rock_salt(5.6402, "Na", "Cl"),
    "KCl": _rock_salt(6.2931, "K", "Cl"),
    "K2SO4": _Salt(UnitCell(7.476, 5.763, 10.071), "P n m a", _ARCANITE),
    # Cell of Schlemper & Hamilton, J. Chem. Phys. 44, 4498 (1966). Of the structure of potassium
    # sulfate, whose positions these are; hydrogens are left out.
    "(NH4)2SO4": _Salt(
        UnitCell(7.782, 5.993, 10.636),
        "P n m a",
        tuple(("N" if element == "K" else element, x, y, z) for element, x, y, z in _ARCANITE),
    ),
    # Hawthorne & Ferguson, Can. Mineral. 13, 181 (1975); AMCSD 0005113.
    "Na2SO4": _Salt(
        UnitCell(9.829, 12.302, 5.868),
        "F d d d:2",
        (("Na", 0.4416, 0.125, 0.125), ("S", 0.125, 0.125, 0.125), ("O", 0.2138, 0.0572, 0.9793)),
    ),
    # Nelmes, Meyer & Tibballs, J. Phys. C 15, 59 (1982), 295 K; AMCSD 0013165.
    "KH2PO4": _Salt(
        UnitCell(7.4521, 7.4521, 6.974),
        "I -4 2 d",
        (("K", 0, 0, 0.5), ("P", 0, 0, 0), ("O", 0.14839, 0.08264, 0.12584)),
    ),
    # Khan & Baur, Acta Cryst. B29, 2721 (1973).
    "NH4H2PO4": _Salt(
        UnitCell(7.4997, 7.4997, 7.5494),
        "I -4 2 d",
        (("N", 0, 0, 0.5), ("P", 0, 0, 0), ("O", 0.1457, 0.0843, 0.1151)),
    ),
    # Gypsum: Pedersen & Semmingsen, Acta Cryst. B38, 1074 (1982).
    "CaSO4.2H2O": _Salt(
        UnitCell(5.679, 15.202, 6.522, 90.0, 118.43, 90.0),
        "I 1 2/c 1",
        (
            ("Ca", 0.5, 0.0797, 0.25),
            ("S", 0, 0.0773, 0.75),
            ("O", 0.9632, 0.1319, 0.5505),
            ("O", 0.7582, 0.0223, 0.6671),
            ("O", 0.3796, 0.1821, 0.4588),
        ),
    ),
    # Cell of epsomite: Baur, Acta Cryst. 17, 1361 (1964).
    "MgSO4.7H2O": _Salt(UnitCell(11.876, 12.002, 6.859), "P 21 21 21"),
    # Cell of struvite: Standard X-ray Diffraction Powder Patterns, NBS Monograph 25 (1964).
    "MgNH4PO4.6H2O": _Salt(UnitCell(6.945, 6.1355, 11.208), "P m n 21"),
    # Cell of sodium acetate: Cameron, Mannan & Rahman, Acta Cryst. B32, 87 (1976).
    "NaCH3COO.3H2O": _Salt(UnitCell(12.353, 10.466, 10.401, 90.0, 111.69, 90.0), "C 1 2/c 1"),
    # Cell of trisodium citrate: Fischer & Palladino, Acta Cryst. E59, m1080 (2003).
    "Na3C6H5O7.2H2O": _Salt(UnitCell(15.70, 12.50, 11.28, 90.0, 103.6, 90.0), "C 1 2/c 1"),
}

#: Salts by formula.
SALT_NAMES: Final = tuple(_SALTS)


@cache
def load_salt(name: str) -> Crystal:
    """Return the crystal of a salt of :data:`SALT_NAMES`.

    Form factors are those of neutral atoms (International Tables, 1992); nothing is between them.

    Raises
    ------
    InputError
        gemmi is not installed.
    """
    salt = _SALTS[name]
    group = space_group(salt.group)
    if not salt.atoms:
        recipe = WilsonRecipe(salt.cell, group, solvent=0.0, b_factor=_B_FACTOR)
        return wilson_crystal(recipe, _D_MIN_M, name)
    gemmi = load_gemmi()
    structure = gemmi.SmallStructure()
    box = salt.cell
    structure.cell = gemmi.UnitCell(box.a, box.b, box.c, box.alpha, box.beta, box.gamma)
    structure.spacegroup = gemmi.find_spacegroup_by_name(salt.group)
    for element, *place in salt.atoms:
        site = gemmi.SmallStructure.Site()
        site.element = gemmi.Element(element)
        site.fract = gemmi.Fractional(*place)
        site.u_iso = _B_FACTOR / (8.0 * np.pi**2)
        structure.add_site(site)
    structure.setup_cell_images()
    structure.change_occupancies_to_crystallographic()
    calculator = gemmi.StructureFactorCalculatorX(structure.cell)
    hkl = half_sphere(box, _D_MIN_M)
    hkl = hkl[~group.absent(hkl)]
    factors = [calculator.calculate_sf_from_small_structure(structure, h) for h in hkl.tolist()]
    intensity = np.abs(np.array(factors)) ** 2
    return Crystal(name, box, hkl, intensity.astype(np.float32), f"atoms, {salt.group}")


def salt_lines(name: str, d_min: float) -> npt.NDArray[np.float64]:
    """Return the spacings of the powder lines of a salt that stand out, angstrom, falling.

    Lines nearer than 0.3 % are one. Those of less than a hundredth of the strongest are left out,
    but where lines are so few that none needs to be.

    Parameters
    ----------
    d_min
        The finest spacing, angstrom.
    """
    crystal = load_salt(name)
    spacing = 1e10 / inverse_d(crystal.cell, crystal.hkl)
    line = np.cumsum(np.diff(np.log(spacing), prepend=np.log(spacing[0])) < -_LINE_WIDTH)
    strength = np.bincount(line, crystal.intensity * spacing**2)
    middle = np.bincount(line, spacing) / np.bincount(line)
    stands_out = (strength >= _FAINTEST_LINE * strength.max()) | (middle > _FEW_LINES)
    return np.asarray(middle[stands_out & (strength > 0.0) & (middle > d_min)])
