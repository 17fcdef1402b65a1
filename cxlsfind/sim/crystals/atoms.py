"""Intensities from the atoms of a structure, with flat bulk solvent; needs gemmi."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import Crystal, complete
from cxlsfind.sim.crystals.symmetry import SymmetryGroup, symmetry_group

#: Density (electrons per cubic angstrom) and B factor (square angstrom) of the solvent between
#: molecules: the means of refined structures, Fokine & Urzhumtsev, Acta Cryst. D58, 1387 (2002).
SOLVENT_DENSITY: Final = 0.35
SOLVENT_B: Final = 46.0
#: Distance of the points of the solvent's mask, angstrom, and most points of a cell. The mask moves
#: with coarse points: at twice the distance intensities at 10 angstrom are some 10 % higher.
_MASK_SPACING: Final = 0.25
_MASK_POINTS: Final = 4e7


def load_gemmi() -> Any:
    """Return the module gemmi, loaded only by those crystals that need it.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import gemmi
    except ImportError as error:
        raise InputError(
            "structure files and space groups by name need the package gemmi, which is not "
            "installed: pip install gemmi, or choose a crystal by name"
        ) from error
    return gemmi


def space_group(name: str) -> SymmetryGroup:
    """Return a space group by its Hermann-Mauguin symbol or number.

    Raises
    ------
    InputError
        There is none of that name.
    """
    found = load_gemmi().find_spacegroup_by_name(name)
    if found is None:
        raise InputError(f"the space group {name!r} is unknown: expected a symbol like 'P 43 21 2'")
    return symmetry_group(tuple(op.triplet() for op in found.operations()))


def read_structure(path: Path, d_min_m: float) -> Crystal:
    """Return the crystal of a PDB or mmCIF file, its intensities calculated from its atoms.

    The density of the atoms (form factors of the International Tables 1992, B factors and
    occupancies of the file) goes through a fast Fourier transform; the solvent is flat.

    Parameters
    ----------
    d_min_m
        Resolution to calculate to, metres.

    Raises
    ------
    InputError
        The file cannot be read, or gives no cell, no space group or no atoms.
    """
    gemmi = load_gemmi()
    try:
        structure = gemmi.read_structure(str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as PDB or mmCIF: {error}") from error
    group = structure.find_spacegroup()
    if not structure.cell.is_crystal() or group is None or not len(structure):
        raise InputError(
            f"{path}: gives no crystal; expected a cell (CRYST1), a space group and atoms"
        )
    d_min = d_min_m * 1e10
    density = gemmi.DensityCalculatorX()
    density.d_min = d_min
    density.set_refmac_compatible_blur(structure[0])
    density.grid.setup_from(structure)
    density.put_model_density_on_grid(structure[0])
    atoms = gemmi.transform_map_to_f_phi(density.grid).prepare_asu_data(
        dmin=d_min, unblur=density.blur
    )
    solvent = _solvent(gemmi, structure, d_min)
    in_solvent = dict(
        zip(map(tuple, solvent.miller_array.tolist()), solvent.value_array, strict=True)
    )
    inverse_square = atoms.make_1_d2_array()
    flat = np.array([in_solvent.get(tuple(h), 0.0) for h in atoms.miller_array.tolist()])
    total = atoms.value_array + SOLVENT_DENSITY * np.exp(-SOLVENT_B * inverse_square / 4) * flat
    box = structure.cell
    return complete(
        UnitCell(box.a, box.b, box.c, box.alpha, box.beta, box.gamma),
        symmetry_group(tuple(op.triplet() for op in group.operations())),
        atoms.miller_array,
        np.abs(total).astype(np.float64) ** 2,
        d_min_m,
        structure.name or path.stem,
        f"atoms of {path.name}, space group {group.hm}, flat bulk solvent",
    )


def _solvent(gemmi: Any, structure: Any, d_min: float) -> Any:
    """Return the structure factors of the region between the molecules, density one."""
    mask = gemmi.FloatGrid()
    coarsest = (structure.cell.volume / _MASK_POINTS) ** (1 / 3)
    mask.setup_from(structure, spacing=max(_MASK_SPACING, coarsest))
    gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx).put_mask_on_float_grid(mask, structure[0])
    return gemmi.transform_map_to_f_phi(mask).prepare_asu_data(dmin=d_min)
