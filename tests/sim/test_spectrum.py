"""Spectra: normalised, and their overlap with blurred reflections against plain quadrature."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.errors import InputError, UsageError
from cxlsfind.sim.spectrum import gaussian, read_spectrum, tabulated, top_hat

ENERGIES = np.array([6900.0, 6950.0, 7000.0, 7080.0])
PHOTONS = np.array([0.0, 4.0, 1.0, 3.0])


def height(spectrum, at):
    """Return the density anywhere, zero outside."""
    return np.interp(at, spectrum.nodes, spectrum.density, left=0.0, right=0.0)


@pytest.mark.parametrize(
    "spectrum", [top_hat(0.01), gaussian(0.02), tabulated(ENERGIES, PHOTONS, 7000.0)]
)
def test_overlap_is_the_integral(spectrum):
    fine = np.linspace(-0.2, 0.2, 400_001)
    density = height(spectrum, fine)
    assert np.trapezoid(density, fine) == pytest.approx(1, abs=2e-3)
    centre = np.array([0.0, 0.004, -0.006, 0.012, 0.004])
    sigma = np.array([0.001, 0.003, 0.002, 0.01, 1e-4])
    weight, shift = spectrum.overlap(centre, sigma)
    for i in range(len(centre)):
        profile = np.exp(-0.5 * ((fine - centre[i]) / sigma[i]) ** 2)
        profile /= np.trapezoid(profile, fine)
        expected = np.trapezoid(profile * density, fine)
        assert weight[i] == pytest.approx(expected, rel=2e-3, abs=1e-3)
        first = np.trapezoid(profile * density * (fine - centre[i]), fine)
        assert shift[i] * weight[i] == pytest.approx(first, abs=2e-3 * sigma[i] * expected + 1e-7)


def test_sharp_reflections_take_the_density_itself():
    weight, shift = top_hat(0.02).overlap(np.array([0.0099, 0.0101, 0.0]), np.zeros(3))
    np.testing.assert_allclose(weight, [50, 0, 50])
    np.testing.assert_allclose(shift, 0, atol=1e-8)


def test_a_gaussian_has_its_width():
    spectrum = gaussian(0.01)
    half = height(spectrum, np.array([-0.005, 0.0, 0.005]))
    np.testing.assert_allclose(half[[0, 2]] / half[1], 0.5, rtol=5e-3)


@pytest.mark.parametrize("bandwidth", [0.0, -0.1, 1.5, float("nan")])
def test_bandwidths_without_a_meaning(bandwidth):
    with pytest.raises(UsageError, match="bandwidth"):
        top_hat(bandwidth)


def test_spectra_from_files(tmp_path):
    rows = "".join(f"{e} {n}\n" for e, n in zip(ENERGIES, PHOTONS, strict=True))
    (tmp_path / "s.txt").write_text(f"# eV photons\n{rows}")
    spectrum = read_spectrum(tmp_path / "s.txt", 7000.0)
    assert spectrum.nodes[2] == 0
    assert spectrum.width == pytest.approx(np.log(7080 / 6900))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "two columns"),
        ("7000\n7010\n", "two columns"),
        ("7000 1\n6990 1\n", "ascending"),
        ("7000 0\n7010 0\n", "not all zero"),
        ("7000 1\n7010 -1\n", "zero or more"),
        ("7000 1\nabc 1\n", "cannot be read"),
    ],
)
def test_bad_spectra(tmp_path, text, message):
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_spectrum(tmp_path / "s.txt", 7000.0)


def test_missing_spectrum(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_spectrum(tmp_path / "none.txt", 7000.0)
