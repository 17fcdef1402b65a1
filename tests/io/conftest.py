"""Small geometries and HDF5 files of every layout, for the tests of reading."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cxlsfind.geometry.model import BeamKind, Geometry, Panel, Quantity
from cxlsfind.io.inputs import InputItem
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run, open_run

#: Size (ss, fs) of the frames in these tests.
SHAPE = (30, 40)


def _panel(name: str = "p0", **changes: Any) -> Panel:
    values: dict[str, Any] = {
        "min_fs": 0,
        "max_fs": SHAPE[1] - 1,
        "min_ss": 0,
        "max_ss": SHAPE[0] - 1,
        "corner_x": -20.0,
        "corner_y": -15.0,
        "fs": (1.0, 0.0, 0.0),
        "ss": (0.0, 1.0, 0.0),
        "res": 1e4,
        "adu_per_photon": 1.0,
        "adu_per_ev": None,
        "data": "/entry/data/data",
        "dims": ("%", "ss", "fs"),
    }
    return Panel(name, **values | changes)


@pytest.fixture(scope="session")
def make_panel() -> Callable[..., Panel]:
    """Return a maker of panels: by default one that covers a frame of 40 x 30 pixels."""
    return _panel


@pytest.fixture(scope="session")
def make_geometry() -> Callable[..., Geometry]:
    """Return a maker of geometries with literal beam: of panels, or of one panel's changes."""

    def make(panels: Sequence[Panel] = (), **changes: Any) -> Geometry:
        return Geometry(
            file="test.geom",
            text="",
            panels=tuple(panels) or (_panel(**changes),),
            beam_kind=BeamKind.PHOTON_ENERGY,
            beam=Quantity(value=9000.0),
            clen=Quantity(value=0.1),
        )

    return make


@pytest.fixture(scope="session")
def make_frames() -> Callable[..., np.ndarray]:
    """Return a maker of frames [n, ss, fs] in which every pixel of every frame is telling."""

    def make(n: int, dtype: str = "u2", *, first: int = 0, shape: Sequence[int] = SHAPE) -> Any:
        info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
        period = 251 if info is None else min(int(info.max), 60013)
        numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        frames = (numbers * 7 + 13 * np.arange(first, first + n).reshape(-1, *[1] * len(shape))) % (
            period
        )
        return frames.astype(dtype)

    return make


@pytest.fixture
def write_stack(tmp_path: Path) -> Callable[..., str]:
    """Return a writer of files with one dataset; gives the file's name."""

    def write(name: str, data: np.ndarray, path: str = "/entry/data/data", **options: Any) -> str:
        with h5py.File(tmp_path / name, "a") as file:
            file.create_dataset(path, data=data, **options)
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="session")
def read_all() -> Callable[..., tuple[Run, list[np.ndarray]]]:
    """Return a function that opens a run of files or items and reads all of its frames."""

    def read(
        items: Sequence[str | InputItem], geometry: Geometry, **options: Any
    ) -> tuple[Run, list[np.ndarray]]:
        listed = [InputItem(item) if isinstance(item, str) else item for item in items]
        run = pickle.loads(pickle.dumps(open_run(listed, geometry, **options)))
        with RunReader(run, open_files=2) as reader:
            return run, [reader.read(k).copy() for k in range(len(run.frames))]

    return read
