"""The geometries that come with cxlsfind, and how they are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxlsfind.errors import GeometryError
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.geometry.layout import build_layout, slab_key
from cxlsfind.geometry.maps import is_slab_unique, static_usable
from cxlsfind.geometry.model import BeamKind, Mask, Quantity
from cxlsfind.geometry.obstacles import geometry_obstacles
from cxlsfind.geometry.shipped import find_geometry

#: Modules (fast, slow), their size, the gaps between them, size of the array: Dectris manuals.
EIGER2, EIGER_X = ((1028, 512), (12, 38)), ((1030, 514), (10, 37))
DETECTORS = [
    ("Eiger4M", (2, 4), *EIGER2, (2068, 2162)),
    ("EigerX4M", (2, 4), *EIGER_X, (2070, 2167)),
    ("Eiger2_16M", (4, 8), *EIGER2, (4148, 4362)),
    ("EigerX16M", (4, 8), *EIGER_X, (4150, 4371)),
]
Pair = tuple[int, int]


@pytest.mark.parametrize(("name", "modules", "module", "gap", "size"), DETECTORS)
def test_detectors(name: str, modules: Pair, module: Pair, gap: Pair, size: Pair) -> None:
    """Size, gaps and everything else, against module arithmetic."""
    geometry = read_geometry(find_geometry(name))
    assert geometry.warnings == ()
    assert geometry_obstacles(geometry) == ()
    assert is_slab_unique(geometry)
    (panel,) = geometry.panels
    assert (panel.width, panel.height) == size
    assert (panel.min_fs, panel.min_ss) == (0, 0)
    assert (panel.corner_x, panel.corner_y) == (-size[0] / 2, -size[1] / 2)
    assert 1 / panel.res == pytest.approx(75e-6)
    assert (panel.adu_per_photon, panel.data) == (1.0, "/entry/data/%")
    assert panel.dims == ("%", "ss", "fs")
    assert geometry.beam_kind is BeamKind.WAVELENGTH
    assert geometry.beam == Quantity(None, "/entry/instrument/beam/incident_wavelength", 1e-10, "A")
    assert geometry.clen == Quantity(None, "/entry/instrument/detector/detector_distance", 1.0, "m")

    usable = static_usable(geometry, build_layout(geometry, {slab_key(panel): size[::-1]}))
    expected = np.zeros(size[::-1], bool)
    for column in range(modules[0]):
        for row in range(modules[1]):
            fs, ss = column * (module[0] + gap[0]), row * (module[1] + gap[1])
            expected[ss : ss + module[1], fs : fs + module[0]] = True
    assert expected[-1, -1]
    assert np.array_equal(usable.reshape(size[::-1]), expected)


@pytest.mark.parametrize("name", [detector[0] for detector in DETECTORS])
def test_virtual_pixels_stay(name: str) -> None:
    """All bits of Dectris' pixel mask mean bad pixels but bit 31, a virtual pixel."""
    (panel,) = read_geometry(find_geometry(name)).panels
    assert panel.masks == (
        Mask(0, "/entry/instrument/detector/detectorSpecific/pixel_mask", None, 0, 0x7FFFFFFF),
    )


def test_every_shipped_file_is_tested() -> None:
    """No geometry is shipped unseen."""
    files = {path.stem for path in find_geometry("Eiger4M").parent.glob("*.geom")}
    assert files == {detector[0] for detector in DETECTORS}


def test_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the user hides a shipped one; the suffix may be left out."""
    monkeypatch.chdir(tmp_path)
    shipped = find_geometry("Eiger4M")
    assert shipped == find_geometry("Eiger4M.geom")
    assert shipped.is_absolute()
    (tmp_path / "Eiger4M.geom").touch()
    assert find_geometry("Eiger4M") == Path("Eiger4M.geom")
    (tmp_path / "Eiger4M").touch()
    assert find_geometry("Eiger4M") == Path("Eiger4M")


def test_paths(tmp_path: Path) -> None:
    """A path is taken as it is, with or without the suffix."""
    file = tmp_path / "mine.geom"
    file.touch()
    assert find_geometry(str(file)) == file
    assert find_geometry(str(tmp_path / "mine")) == file


@pytest.mark.parametrize("name", ["none", "../geom/Eiger4M", "", ".."])
def test_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal lists what there is."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GeometryError, match=r"Eiger2_16M, Eiger4M, EigerX16M, EigerX4M"):
        find_geometry(name)
