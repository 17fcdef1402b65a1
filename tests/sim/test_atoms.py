"""Intensities from atoms, against a sum over atoms written here."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals import atoms
from cxlsfind.sim.crystals.atoms import read_structure

#: Carbon and sulphur of the International Tables (1992): a, b, c.
FACTORS = {
    "C": ((2.31, 1.02, 1.5886, 0.865), (20.8439, 10.2075, 0.5687, 51.6512), 0.2156),
    "S": ((6.9053, 5.2034, 1.4379, 1.5863), (1.4679, 22.2151, 0.2536, 56.172), 0.8669),
}
#: Element, position (angstrom), occupancy, B.
ATOMS = [
    ("C", (3.1, 4.2, 5.3), 1.0, 12.0),
    ("C", (7.7, 1.2, 9.9), 0.5, 25.0),
    ("S", (10.4, 8.6, 2.2), 1.0, 8.0),
]
#: P 21 along b in a cell of 20 x 18 x 15 angstrom.
CELL = (20.0, 18.0, 15.0)


def write_structure(path):
    lines = ["CRYST1   20.000   18.000   15.000  90.00  90.00  90.00 P 1 21 1      2"]
    for number, (element, (x, y, z), occupancy, b) in enumerate(ATOMS, start=1):
        lines.append(
            f"HETATM{number:5d}  {element}1  UNK A{number:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{b:6.2f}          {element:>2}"
        )
    path.write_text("\n".join([*lines, "END"]) + "\n")


def summed(hkl):
    """Return the squared structure factor by the sum over all atoms of the cell."""
    square = sum((h / axis) ** 2 for h, axis in zip(hkl, CELL, strict=True))
    total = 0j
    for element, position, occupancy, b in ATOMS:
        heights, widths, constant = FACTORS[element]
        factor = constant + sum(
            a * np.exp(-w * square / 4) for a, w in zip(heights, widths, strict=True)
        )
        x, y, z = (p / axis for p, axis in zip(position, CELL, strict=True))
        for place in ((x, y, z), (-x, y + 0.5, -z)):
            phase = 2j * np.pi * np.dot(hkl, place)
            total += occupancy * factor * np.exp(-b * square / 4) * np.exp(phase)
    return abs(total) ** 2


@pytest.fixture
def structure(tmp_path):
    """Return a small structure file."""
    write_structure(tmp_path / "small.pdb")
    return tmp_path / "small.pdb"


def test_intensities_are_the_sum_over_atoms(structure, monkeypatch):
    monkeypatch.setattr(atoms, "SOLVENT_DENSITY", 0.0)
    crystal = read_structure(structure, 1.8e-10)
    assert len(crystal.hkl) > 900
    strong = crystal.intensity.max()
    for hkl, value in zip(crystal.hkl[::37], crystal.intensity[::37], strict=True):
        assert value == pytest.approx(summed(hkl), rel=2e-3, abs=1e-4 * float(strong))
    absent = {(0, 1, 0), (0, 3, 0)}
    assert absent.isdisjoint(map(tuple, crystal.hkl.tolist()))


def test_solvent_weakens_low_angles_alone(structure, monkeypatch):
    with_solvent = read_structure(structure, 1.8e-10)
    monkeypatch.setattr(atoms, "SOLVENT_DENSITY", 0.0)
    without = read_structure(structure, 1.8e-10)
    change = np.abs(with_solvent.intensity - without.intensity) / without.intensity.mean()
    assert change[:6].max() > 0.5
    assert change[-300:].max() < 0.05


@pytest.mark.parametrize("text", ["", "HELLO\n", "HEADER    NOTHING\nEND\n"])
def test_files_without_a_structure(tmp_path, text):
    (tmp_path / "no.pdb").write_text(text)
    with pytest.raises(InputError, match=r"no\.pdb"):
        read_structure(tmp_path / "no.pdb", 3e-10)


@pytest.mark.parametrize("name", ["none.pdb", "none.cif"])
def test_missing_files(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read"):
        read_structure(tmp_path / name, 3e-10)


def test_a_broken_mmcif(tmp_path):
    (tmp_path / "no.cif").write_text("data_x\nloop_\n_atom_site.id\n_cell.length_a\n1\n")
    with pytest.raises(InputError, match=r"no\.cif"):
        read_structure(tmp_path / "no.cif", 3e-10)
