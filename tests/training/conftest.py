"""The finder's score, a simulator of candidates with few draws, and a small tree of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cxlsfind.datasets.conditions import condition_grid
from cxlsfind.datasets.images import write_image
from cxlsfind.datasets.making import begin_tree, make_frame
from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS
from cxlsfind.datasets.recipe import Recipe
from cxlsfind.datasets.simulation import PatternSimulation
from cxlsfind.datasets.splits import Split, write_split
from cxlsfind.models.likelihood import LikelihoodRatio, SpotTables
from cxlsfind.models.peak import PeakModel
from cxlsfind.training.patches import PatchSimulator
from cxlsfind.training.tables import spot_tables


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The machines that run the tests are shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tables() -> SpotTables:
    """Return the default finder's score."""
    return spot_tables()


@pytest.fixture(scope="session")
def ratio(tables: SpotTables) -> LikelihoodRatio:
    """Return the score as a layer."""
    return LikelihoodRatio(tables)


@pytest.fixture(scope="session")
def simulator(tables: SpotTables) -> PatchSimulator:
    """Return a simulator with few draws."""
    return PatchSimulator(tables, seed=1, n_null=300)


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a tree of 18 images of 130 x 121 pixels in two data sets, and a split of it."""
    root = tmp_path_factory.mktemp("tree")
    generator = np.random.default_rng(5)
    names = []
    for number in range(18):
        dataset, kev, clen = (("01", 6, 0.15), ("02", 7, 0.25))[number % 2]
        is_empty = number % 3 == 0
        name = f"{'empty_' if is_empty else ''}{dataset}_{kev}keV_clen0{dataset[1]}_{number:06d}.h5"
        peaks = np.zeros((130, 121), np.int32)
        label = np.zeros(peaks.shape, np.uint8)
        if not is_empty:
            places = generator.integers(4, 117, (20, 2))
            peaks[places[:, 0], places[:, 1]] = 40
            label[places[:, 0], places[:, 1]] = 1
        water = generator.poisson(0.1 * kev * (1 + np.arange(130)[:, None] / 130), peaks.shape)
        attributes = {"clen": clen, "photon_energy": 1000.0 * kev, "peak": not is_empty}
        for branch, image in ((PEAKS, peaks), (OVERLAY, peaks + water), (LABELS, label)):
            folder = root / branch / dataset
            folder.mkdir(parents=True, exist_ok=True)
            ignore = np.zeros_like(label) if branch == LABELS else None
            write_image(folder / name, image.astype(np.int32), attributes, ignore=ignore)
        names.append(f"{dataset}/{name}")
    split = root.parent / f"{root.name}-split.json"
    write_split(split, Split(tuple(names[:12]), tuple(names[12:]), (), ("seed",)))
    return root, split


@pytest.fixture
def peak_model(tables: SpotTables) -> PeakModel:
    """Return a peak model as it is before training."""
    torch.manual_seed(2)
    return PeakModel(tables, [11.0] * len(tables.log_background)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def simulated_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a simulated tree: two crystals, two energies, two fluxes, 3 frames with, 2 without."""
    root = tmp_path_factory.mktemp("simulated") / "images"
    conditions = condition_grid([6000.0, 8000.0], [0.1], ["proteinase_k", "lysozyme"], [3e9, 3e8])
    recipe = Recipe(5, 3, 2, conditions, "Eiger500K", ())
    for task in begin_tree(root, PatternSimulation(recipe)).tasks():
        make_frame(task)
    return root
