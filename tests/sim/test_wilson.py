"""Wilson statistics: moments of intensities, and the mean a protein has."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.errors import InputError
from cxlsfind.sim.crystals.catalogue import load_crystal
from cxlsfind.sim.crystals.cell import UnitCell
from cxlsfind.sim.crystals.reflections import inverse_d
from cxlsfind.sim.crystals.symmetry import symmetry_group
from cxlsfind.sim.crystals.wilson import WilsonRecipe, wilson_crystal

P43212 = ("-x,-y,z+1/2", "-y+1/2,x+1/2,z+3/4", "y,x,-z")


@pytest.fixture(scope="module")
def relative():
    """Return intensities over their mean, of general and of centric reflections."""
    group = symmetry_group(P43212)
    recipe = WilsonRecipe(UnitCell(79.1, 79.1, 37.9), group, seed=3)
    crystal = wilson_crystal(recipe, 1.6e-10, "test")
    mean = recipe.mean_intensity(inverse_d(crystal.cell, crystal.hkl))
    values = crystal.intensity / (mean * group.multiplicity(crystal.hkl))
    # One of each set of equivalents is enough.
    upper = (crystal.hkl[:, 0] >= crystal.hkl[:, 1]) & (crystal.hkl >= 0).all(axis=1)
    centric = group.centric(crystal.hkl)
    return values[upper & ~centric], values[upper & centric]


def test_general_intensities_are_exponential(relative):
    values, _ = relative
    assert values.mean() == pytest.approx(1, abs=4 / np.sqrt(len(values)))
    assert (values**2).mean() / values.mean() ** 2 == pytest.approx(2, rel=0.1)
    assert np.mean(values < np.log(2)) == pytest.approx(0.5, abs=0.03)


def test_centric_intensities_scatter_more(relative):
    _, values = relative
    assert values.mean() == pytest.approx(1, abs=5 / np.sqrt(len(values)))
    assert (values**2).mean() / values.mean() ** 2 == pytest.approx(3, rel=0.25)


def test_the_mean_is_that_of_a_real_protein():
    """Proteinase K's calculated intensities, in broad shells."""
    real = load_crystal(d_min_m=2.2e-10)
    recipe = WilsonRecipe(real.cell, symmetry_group(P43212), solvent=0.409, b_factor=10.6)
    d = 1e10 / inverse_d(real.cell, real.hkl)
    mean = recipe.mean_intensity(inverse_d(real.cell, real.hkl))
    for low, high in ((2.2, 3.0), (3.0, 4.5), (4.5, 7.0), (7.0, 12.0)):
        shell = (d >= low) & (d < high)
        assert real.intensity[shell].mean() / mean[shell].mean() == pytest.approx(1.4, rel=0.15)


def test_the_seed_settles_the_intensities():
    crystals = [load_crystal("lysozyme", d_min_m=5e-10, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(crystals[0].intensity, crystals[1].intensity)
    assert (crystals[0].intensity != crystals[2].intensity).any()


def test_strong_reflections_do_not_hang_on_the_resolution():
    coarse, fine = (load_crystal("pyp", d_min_m=d) for d in (5e-10, 3e-10))
    np.testing.assert_array_equal(coarse.intensity, fine.intensity[: len(coarse.hkl)])


@pytest.mark.parametrize("wrong", [{"solvent": 1.0}, {"b_factor": -1.0}])
def test_numbers_without_a_meaning(wrong):
    with pytest.raises(InputError):
        WilsonRecipe(UnitCell(50, 50, 50), symmetry_group(()), **wrong)
