"""Models without trained weights, with the default finder's score inside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from cxlsfind.models.card import COUNT_TYPES, Card
from cxlsfind.models.likelihood import SpotTables
from cxlsfind.models.peak import PeakModel
from cxlsfind.training.tables import spot_tables


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """The machines that run the tests are shared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tables() -> SpotTables:
    """Return the default finder's score."""
    return spot_tables()


@pytest.fixture
def peak_model(tables: SpotTables) -> PeakModel:
    """Return a peak model as it is before training."""
    torch.manual_seed(2)
    return PeakModel(tables, [11.0] * len(tables.log_background)).eval().requires_grad_(False)


@pytest.fixture
def taught_model(peak_model: PeakModel) -> PeakModel:
    """Return a peak model whose last layer says something."""
    torch.manual_seed(4)
    torch.nn.init.normal_(peak_model.answer.weight, std=0.1)
    return peak_model


@pytest.fixture
def patches() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return counts, background and mask of 40 patches, half of them with something inside."""
    generator = np.random.default_rng(8)
    level = np.exp(generator.uniform(np.log(1e-3), np.log(3.0), 40))[:, None, None]
    mean = np.broadcast_to(level, (40, 11, 11)).copy()
    mean[::2, 4:7, 4:7] += generator.uniform(0.5, 4.0, (20, 1, 1))
    mask = (generator.random(mean.shape) < 0.97).astype(np.uint8)
    counts = (generator.poisson(mean) * mask).astype(np.uint16)
    background = np.broadcast_to(level, mean.shape).astype(np.float32)
    return torch.from_numpy(counts), torch.from_numpy(background.copy()), torch.from_numpy(mask)


@pytest.fixture
def make_card() -> Callable[..., Card]:
    """Return a function that makes a card that fits EIGER data; its arguments are changes."""

    def make(**changes: object) -> Card:
        content: dict[str, object] = {
            "task": "peak",
            "version": "0.0",
            "inputs": {"counts": ["n", 11, 11]},
            "dtypes": COUNT_TYPES,
            "pixel_size_m": (50e-6, 180e-6),
            "photon_energy_ev": (4000.0, 30000.0),
            "background": (1e-5, 20.0),
            "least_pulses": 300.0,
        }
        return Card(**{**content, **changes})  # type: ignore[arg-type]

    return make
