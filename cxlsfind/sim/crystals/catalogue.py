"""Crystals by name, and from files of any kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.atoms import read_structure, space_group
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.hkl_files import read_hkl
from cxlsfind.sim.crystals.names import CRYSTAL_NAMES
from cxlsfind.sim.crystals.packed import read_packed
from cxlsfind.sim.crystals.reflections import Crystal
from cxlsfind.sim.crystals.symmetry import SymmetryGroup, point_group, symmetry_group
from cxlsfind.sim.crystals.wilson import WilsonRecipe, wilson_crystal

#: Intensities of proteinase K, calculated from the atoms of PDB entry 1IC6; how, says the note
#: beside the file.
_PROTEINASE_K: Final = Path(__file__).parent / "data" / "proteinase_k.npz"

#: Structure files that gemmi reads.
_STRUCTURES: Final = (".pdb", ".ent", ".cif", ".mmcif")


@dataclass(frozen=True, slots=True)
class _Named:
    """A crystal whose intensities are drawn: cell, generators of its group, centring, solvent."""

    cell: UnitCell
    generators: tuple[str, ...]
    centring: str
    solvent: float
    b_factor: float


_WILSON: Final = {
    # tetragonal hen egg-white lysozyme, P43212
    "lysozyme": _Named(
        UnitCell(79.1, 79.1, 37.9),
        ("-x,-y,z+1/2", "-y+1/2,x+1/2,z+3/4", "y,x,-z"),
        "P",
        0.39,
        18.0,
    ),
    # photoactive yellow protein, P63
    "pyp": _Named(UnitCell(66.9, 66.9, 40.8, 90.0, 90.0, 120.0), ("x-y,x,z+1/2",), "P", 0.35, 15.0),
    # cubic insulin, I213
    "insulin": _Named(UnitCell(78.9, 78.9, 78.9), ("-x+1/2,-y,z+1/2", "z,x,y"), "I", 0.65, 20.0),
}

#: The resolution that intensities are made to unless somebody asks for more, metres: that of the
#: far corner of an EIGER2 4M at 0.15 m and 8 keV, and a little more.
DEFAULT_D_MIN_M: Final = 2.2e-10


def load_crystal(
    name: str = "proteinase_k",
    *,
    d_min_m: float = DEFAULT_D_MIN_M,
    cell: UnitCell | None = None,
    symmetry: str | None = None,
    seed: int = 0,
) -> Crystal:
    """Return a crystal by its name or from a file.

    Parameters
    ----------
    name
        One of :data:`~cxlsfind.sim.crystals.names.CRYSTAL_NAMES`; or a file: a structure
        (``.pdb``, ``.ent``, ``.cif``) or a list of intensities (``.hkl``), plain or with ``.gz``.
    d_min_m
        Resolution, metres; lists that end before it are used to their end.
    cell
        Cell of a list of intensities, or of the crystal ``wilson``.
    symmetry
        Space group or point group of those.
    seed
        Settles Wilson intensities.

    Raises
    ------
    InputError
        There is no such crystal or file, or it needs a cell or a symmetry that is not given.
    """
    if name == "proteinase_k":
        return read_packed(_PROTEINASE_K, d_min_m)
    if name in _WILSON:
        known = _WILSON[name]
        group = symmetry_group(known.generators, known.centring)
        recipe = WilsonRecipe(known.cell, group, known.solvent, known.b_factor, seed)
        return wilson_crystal(recipe, d_min_m, name)
    if name == "wilson":
        if cell is None or symmetry is None:
            raise InputError("Wilson intensities need a cell and a symmetry: give both")
        return wilson_crystal(WilsonRecipe(cell, _group(symmetry), seed=seed), d_min_m, name)
    path = Path(name)
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if kind.lower() in _STRUCTURES:
        return read_structure(path, d_min_m)
    if kind.lower() == ".hkl":
        if cell is None:
            raise InputError(f"{path}: a list of intensities gives no cell: give one")
        return read_hkl(path, cell, None if symmetry is None else _group(symmetry), d_min_m)
    raise InputError(
        f"{name}: no crystal of that name, and no kind of file known by its ending; expected one "
        f"of {', '.join(CRYSTAL_NAMES)}, or a .pdb, .cif or .hkl file"
    )


def _group(name: str) -> SymmetryGroup:
    """Return a point group, or a space group if there is no point group of that name."""
    try:
        return point_group(name)
    except InputError:
        return space_group(name)
