"""Trees of images: one that was simulated, and one as the programs of others leave it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.datasets.conditions import condition_grid
from cxlsfind.datasets.making import begin_tree, make_frame
from cxlsfind.datasets.manifest import write_manifest
from cxlsfind.datasets.recipe import Recipe
from cxlsfind.datasets.simulation import PatternSimulation

SHAPE = (40, 60)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Return a recipe of two data sets, each of 3 frames with a crystal and 2 without."""
    conditions = condition_grid([6000.0, 8000.0], [0.1], ["proteinase_k"], [1e9])
    return Recipe(5, 3, 2, conditions, "Eiger500K", (("readout.pulses", 0),))


@pytest.fixture(scope="session")
def made_tree(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """Return a simulated tree; not to be changed."""
    root = tmp_path_factory.mktemp("made") / "images"
    for task in begin_tree(root, PatternSimulation(recipe)).tasks():
        make_frame(task)
    write_manifest(root)
    return root


@pytest.fixture
def tree(made_tree: Path, tmp_path: Path) -> Path:
    """Return a copy of a simulated tree, to be changed at will."""
    return Path(shutil.copytree(made_tree, tmp_path / "images"))


@pytest.fixture
def write_foreign() -> Callable[..., None]:
    """Return a function that writes an image file as the programs of others do."""

    def write(path: Path, image: np.ndarray, **attributes: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = image
            for name, value in attributes.items():
                file.attrs[name.replace("camera_length", "camera length")] = value

    return write


@pytest.fixture
def foreign_tree(tmp_path: Path, write_foreign: Callable[..., None]) -> Path:
    """Return a tree with float images, one water image per data set, no labels, other names."""
    root = tmp_path / "foreign" / "images"
    rng = np.random.default_rng(1)
    for dataset, kev in ((1, 6), (2, 7)):
        folder, known = f"{dataset:02d}", {"photon_energy": kev * 1000}
        water = rng.poisson(2.0, SHAPE).astype(np.float32)
        write_foreign(
            root / "water" / folder / f"water{folder}.h5", water, clen=0.15, peak=False, **known
        )
        for number in (3, 1, 2):
            peaks = (rng.poisson(0.01, SHAPE) * 50).astype(np.float32)
            name = f"img_{kev}keV_clen01_{number:05d}.h5"
            write_foreign(
                root / "peaks" / folder / name, peaks, camera_length=0.15, peak=True, **known
            )
            write_foreign(
                root / "peaks_water_overlay" / folder / f"overlay_{name}",
                peaks + water,
                clen=0.15,
                peak=True,
                **known,
            )
    (root / "peaks" / "01" / "README.txt").write_text("six keV")
    return root
