"""Which models a run uses, found out before its first frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cxlsfind.config import PeakMethod, RunConfig
from cxlsfind.errors import FrameError, InputError, InputProblemsError
from cxlsfind.geometry.model import Geometry
from cxlsfind.io.dtypes import delivered_type
from cxlsfind.io.reader import RunReader
from cxlsfind.io.run import Run
from cxlsfind.models import files
from cxlsfind.models.card import DataDescription
from cxlsfind.models.files import ModelFile, present_files, torch_obstacle

#: Datasets that are asked for their photon energy; runs of single images have thousands.
_ASKED: Final = 64

_ALONE: Final = "counting statistics alone"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models of a run.

    Parameters
    ----------
    files
        Those that are used; none where the statistics decide alone.
    folder
        Where they are, in words.
    reason
        Why there are none, or not all.
    is_told
        Whether the user is told so, as something that was expected is missing.
    """

    files: tuple[ModelFile, ...] = ()
    folder: str = ""
    reason: str = ""
    is_told: bool = False

    def lines(self) -> Iterator[str]:
        """Yield what the user should know before the first frame."""
        if self.is_told:
            yield f"note: models: {self.reason}"
        if self.files:
            names = ", ".join(f"{file.path.name} ({file.sha256[:12]})" for file in self.files)
            yield f"models: {names} from {self.folder}"

    def summary(self) -> dict[str, Any]:
        """Return what the summary says."""
        return {"used": [file.describe() for file in self.files], "reason": self.reason or None}


def choose_models(config: RunConfig, geometry: Geometry | None, run: Run | None) -> ModelChoice:
    """Return the models that a run uses, each loaded and checked once.

    Parameters
    ----------
    geometry, run
        ``None`` where they cannot be read: models that were asked for are then checked as far as
        they can be.

    Raises
    ------
    InputProblemsError
        A model that was asked for cannot be used; with all reasons.
    """
    if config.peaks is not PeakMethod.POISSON:
        return ModelChoice(reason=f"--peaks={config.peaks} knows no models")
    if not config.use_models:
        reason = f"not used, as --no-models asks: {_ALONE}"
        return ModelChoice(reason=reason, is_told=True)
    if config.models is not None:
        folder = files.find_folder(config.models)
        obstacle = torch_obstacle()
        if obstacle:
            raise InputError(
                f"--models {config.models}: {obstacle}; install PyTorch "
                f"(pip install 'cxlsfind[models]'), or leave --models out for {_ALONE}"
            )
        return ModelChoice(_examine(folder, config, geometry, run), config.models)
    return _shipped_models(config, geometry, run)


def _shipped_models(config: RunConfig, geometry: Geometry | None, run: Run | None) -> ModelChoice:
    """Return the models that come with cxlsfind, where there are some that fit."""
    folder = files.SHIPPED_FOLDER
    if not present_files(folder):
        return ModelChoice(reason=f"none are used unless asked for: {_ALONE}")
    obstacle = torch_obstacle()
    if obstacle:
        return ModelChoice(reason=f"not used: {obstacle}: {_ALONE}", is_told=True)
    try:
        return ModelChoice(_examine(folder, config, geometry, run), "cxlsfind")
    except InputProblemsError as error:
        # A hit model hears what the peak model says: they go together.
        reasons = "; ".join(error.problems)
        return ModelChoice(reason=f"left out: {reasons}: {_ALONE}", is_told=True)


def _examine(
    folder: Path, config: RunConfig, geometry: Geometry | None, run: Run | None
) -> tuple[ModelFile, ...]:
    # PyTorch takes a second to load: only a run that uses it does.
    from cxlsfind.models.runtime import choose_device, examine_models

    choose_device(config.device, 0)
    data = [] if geometry is None else describe_data(config, geometry, run)
    return examine_models(folder, data)


def describe_data(config: RunConfig, geometry: Geometry, run: Run | None) -> list[DataDescription]:
    """Return what the data of a run are, one description for each kind that it has.

    Photon energies are those of the first frames of its datasets, or of a sample of them.

    Parameters
    ----------
    run
        ``None`` where it cannot be opened; some is known all the same.
    """
    dtypes: list[str | None] = [None]
    energies: list[float | None] = [config.photon_energy_ev]
    if run is not None:
        names = {delivered_type(np.dtype(source.dtype)).name for source in run.sources}
        dtypes, energies = [*sorted(names)], [*_energies(run)] or [None]
    sizes = {1.0 / panel.res for panel in geometry.panels if not panel.no_index}
    return [
        DataDescription(dtype, size, energy, config.pulses_per_frame)
        for dtype in dtypes
        for size in sorted(sizes)
        for energy in energies
    ]


def _energies(run: Run) -> list[float]:
    _, first = np.unique(run.frames.group, return_index=True)
    asked = np.sort(first)[:: -(-len(first) // _ASKED)]
    found = set()
    with RunReader(run) as reader:
        for frame in asked.tolist():
            try:
                found.add(reader.header(frame).photon_energy_ev)
            except FrameError:
                continue
    return sorted(found)
