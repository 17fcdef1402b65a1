"""Groups from generators: their size, absences, and agreement with gemmi's tables."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.atoms import space_group
from cxlsfind.sim.crystals.symmetry import point_group, symmetry_group

P43212 = ("-x,-y,z+1/2", "-y+1/2,x+1/2,z+3/4", "y,x,-z")


def as_set(group):
    return {
        (*rotation.ravel().tolist(), *shift.tolist())
        for rotation, shift in zip(group.rotations, group.translations, strict=True)
    }


@pytest.mark.parametrize(
    ("generators", "centring", "symbol"),
    [
        (P43212, "P", "P 43 21 2"),
        (("x-y,x,z+1/2",), "P", "P 63"),
        (("-x+1/2,-y,z+1/2", "z,x,y"), "I", "I 21 3"),
        (("-x,y+1/2,-z",), "P", "P 1 21 1"),
        (("-x,-y,z", "x,-y,-z"), "F", "F 2 2 2"),
        (("-y,x-y,z",), "H", "R 3:H"),
    ],
)
def test_groups_are_those_of_the_tables(generators, centring, symbol):
    assert as_set(symmetry_group(generators, centring)) == as_set(space_group(symbol))


@pytest.mark.parametrize(
    ("name", "size"),
    [("1", 2), ("2", 4), ("mmm", 8), ("4/m", 8), ("4/mmm", 16), ("-3_H", 6), ("321_H", 12),
     ("312_H", 12), ("32_R", 12), ("6/m", 12), ("6/mmm", 24), ("m-3", 24), ("432", 48)],
)  # fmt: skip
def test_laue_groups_have_their_size(name, size):
    assert len(point_group(name).point_rotations) == size


def test_absences_multiplicities_and_centric_reflections_are_gemmis():
    hkl = np.array(np.meshgrid(*[range(-4, 5)] * 3)).reshape(3, -1).T
    hkl = hkl[hkl.any(axis=1)]
    for symbol in ("P 43 21 2", "I 21 3", "C 1 2 1", "P 63", "F 4 3 2", "R 3:H"):
        group = space_group(symbol)
        operations = gemmi.SpaceGroup(symbol).operations()
        absent = [operations.is_systematically_absent(h) for h in hkl.tolist()]
        np.testing.assert_array_equal(group.absent(hkl), absent)
        centric = [operations.is_reflection_centric(h) for h in hkl.tolist()]
        np.testing.assert_array_equal(group.centric(hkl), centric)
        epsilon = [operations.epsilon_factor(h) for h in hkl.tolist()]
        np.testing.assert_array_equal(group.multiplicity(hkl), epsilon)


@pytest.mark.parametrize("text", ["x,y", "x,y,w", "x,y,z+1/0", "x,y,z,x"])
def test_what_is_no_operator(text):
    with pytest.raises(InputError, match="no operator"):
        symmetry_group((text,))


def test_what_makes_no_group():
    with pytest.raises(InputError, match="do not make a space group"):
        symmetry_group(("x+y,y,z",))


def test_unknown_names():
    with pytest.raises(InputError, match="4/mmm"):
        point_group("5/m")
    with pytest.raises(InputError, match="unknown"):
        symmetry_group((), "Q")
    with pytest.raises(InputError, match="P 43 21 2"):
        space_group("P 5 5 5")
