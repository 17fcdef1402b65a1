"""Crystals by name and from files: what they are, and what is said of those that are not."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.atoms import read_structure
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.names import CRYSTAL_NAMES
from cxlsfind.sim.crystals.packed import read_packed, write_packed

P43212 = ("-x,-y,z+1/2", "-y+1/2,x+1/2,z+3/4", "y,x,-z")


@pytest.mark.parametrize("name", [name for name in CRYSTAL_NAMES if name != "wilson"])
def test_named_crystals_are_complete(name):
    crystal = load_crystal(name, d_min_m=3e-10)
    sphere = 4 / 3 * np.pi * crystal.cell.volume_m3 / (3e-10) ** 3
    # Centring takes half of the nodes of insulin; screw axes take few.
    share = 0.5 if name == "insulin" else 1.0
    assert 2 * len(crystal.hkl) == pytest.approx(share * sphere, rel=0.03)
    assert (crystal.intensity >= 0).all()
    assert crystal.hkl.dtype == np.int16
    assert crystal.intensity.dtype == np.float32


def test_proteinase_k_is_the_calculated_one(shared_dir):
    """The list that comes with the package, against the atoms of the entry."""
    crystal = load_crystal(d_min_m=3e-10)
    path = shared_dir / "data" / "proteinase_k" / "1ic6.pdb.gz"
    again = read_structure(path, 3e-10)
    np.testing.assert_array_equal(crystal.hkl, again.hkl)
    strong = again.intensity > 100
    np.testing.assert_allclose(crystal.intensity[strong], again.intensity[strong], rtol=0.05)
    assert np.corrcoef(crystal.intensity, again.intensity)[0, 1] > 0.99999


def test_proteinase_k_reaches_1_5_angstrom():
    crystal = load_crystal(d_min_m=0.5e-10)
    assert crystal.d_min_m == pytest.approx(1.5e-10, rel=1e-3)
    assert (crystal.cell.a, crystal.cell.c) == (67.288, 106.582)


def test_packed_intensities_come_back(tmp_path):
    crystal = load_crystal("lysozyme", d_min_m=4e-10)
    write_packed(tmp_path / "a.npz", crystal, P43212)
    again = read_packed(tmp_path / "a.npz", 0.0)
    np.testing.assert_array_equal(again.hkl, crystal.hkl)
    bright = crystal.intensity > 1
    np.testing.assert_allclose(again.intensity[bright], crystal.intensity[bright], rtol=5e-4)
    assert again.cell == crystal.cell
    np.testing.assert_array_equal(
        read_packed(tmp_path / "a.npz", 6e-10).hkl, crystal.to_resolution(6e-10).hkl
    )


HKL = """CrystFEL reflection list version 2.0
Symmetry: 4/mmm
   h    k    l          I    phase   sigma(I)   nmeas
   0    0    4       58685.26        -     242.25       1
   2    1    3         500.00        -       1.00       1
   3    1   -3         -20.00        -       1.00       1
End of reflections
   1    1    1         999.00        -       1.00       1
"""


@pytest.mark.parametrize("is_packed", [False, True])
def test_reflection_lists(tmp_path, is_packed):
    path = tmp_path / ("a.hkl.gz" if is_packed else "a.hkl")
    path.write_bytes(gzip.compress(HKL.encode()) if is_packed else HKL.encode())
    crystal = load_crystal(str(path), cell=UnitCell(50, 50, 80), d_min_m=5e-10)
    table = dict(zip(map(tuple, crystal.hkl.tolist()), crystal.intensity, strict=True))
    assert table[0, 0, 4] == np.float32(58685.26)
    assert table[2, 1, 3] == table[1, 2, 3] == table[-2, 1, 3] == 500
    assert table[3, 1, 3] == table[1, 1, 1] == 0


def test_plain_rows_need_a_symmetry(tmp_path):
    (tmp_path / "a.hkl").write_text("1 2 3 40.5\n0 1 1 7\n")
    cell = UnitCell(50, 60, 80)
    with pytest.raises(InputError, match="names no symmetry"):
        load_crystal(str(tmp_path / "a.hkl"), cell=cell)
    crystal = load_crystal(str(tmp_path / "a.hkl"), cell=cell, symmetry="mmm")
    at = (crystal.hkl == (-1, 2, 3)).all(axis=1)
    assert crystal.intensity[at] == [40.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no reflections"),
        ("Symmetry: 7/m\n1 2 3 4\n", "7/m"),
        ("Symmetry: 1\n1 2 3 inf\n", "holds no reflections"),
        ("Symmetry: 1\n1 2 3 1e999\n", "is no reflection"),
        ("Symmetry: 1\n1 2 3 1.2.3\n", "is no intensity"),
        ("Symmetry: 1\n9999 2 3 1\n", "is no reflection"),
        ("Symmetry: 1\n100 2 3 1\n", "beyond"),
    ],
)
def test_bad_reflection_lists(tmp_path, text, message):
    (tmp_path / "a.hkl").write_text(text)
    with pytest.raises(InputError, match=message):
        load_crystal(str(tmp_path / "a.hkl"), cell=UnitCell(50, 50, 80), d_min_m=3e-10)


def test_wilson_crystals_take_any_cell():
    crystal = load_crystal(
        "wilson", cell=UnitCell(40, 50, 60), symmetry="P 21 21 21", d_min_m=5e-10
    )
    assert not (crystal.hkl == (1, 0, 0)).all(axis=1).any()
    with pytest.raises(InputError, match="cell and a symmetry"):
        load_crystal("wilson")


@pytest.mark.parametrize("name", ["nothing", "a.txt", "gone.hkl"])
def test_unknown_crystals(name):
    with pytest.raises(InputError, match=name):
        load_crystal(name, cell=UnitCell(1, 1, 1) if name == "gone.hkl" else None, symmetry="1")
    with pytest.raises(InputError, match="gives no cell"):
        load_crystal("gone.hkl")
