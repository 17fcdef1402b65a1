"""How a tree was simulated: what settles every photon in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cxlsfind.datasets.conditions import Condition, Range
from cxlsfind.datasets.free_settings import Setting, freeze
from cxlsfind.datasets.naming import FrameName, format_kev
from cxlsfind.datasets.tree import RECIPE_NAME, Tree
from cxlsfind.errors import InputError

SCHEMA: Final = "cxlsfind-tree/1"

#: Told apart from all other uses of a seed.
_CONDITION_STREAM: Final = 1


@dataclass(frozen=True, slots=True)
class FrameJob:
    """One frame to simulate.

    Parameters
    ----------
    name
        Name of its files.
    condition
        The data set's.
    photon_energy_ev, clen_m, photons
        The frame's own: drawn where the data set has a range.
    """

    name: FrameName
    condition: Condition
    photon_energy_ev: float
    clen_m: float
    photons: float

    @property
    def folder(self) -> str:
        """Name of the data set's folder."""
        return f"{self.name.dataset:02d}"

    @property
    def number(self) -> int:
        """A number that no other frame of the tree has, whatever the size of the tree.

        Frames that follow each other have numbers that do, as in a run of the detector.
        """
        return (self.name.dataset << 33) | (self.name.is_empty << 32) | self.name.number


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tree is simulated.

    Parameters
    ----------
    seed
        With the name of a frame, settles everything random in it.
    patterns
        Frames with a crystal in each data set.
    empties
        Frames without in each data set.
    conditions
        One per data set.
    detector
        Name of the detector.
    settings
        What is not as a simulator of trees has it by default, by name.
    """

    seed: int
    patterns: int
    empties: int
    conditions: tuple[Condition, ...]
    detector: str
    settings: tuple[Setting, ...]

    def jobs(self) -> Iterator[FrameJob]:
        """Yield all frames, by data set, those with a crystal first."""
        for condition in self.conditions:
            for is_empty, count in ((False, self.patterns), (True, self.empties)):
                for number in range(1, count + 1):
                    yield self._job(condition, number, is_empty=is_empty)

    def _job(self, condition: Condition, number: int, *, is_empty: bool) -> FrameJob:
        key = (self.seed, _CONDITION_STREAM, condition.dataset, int(is_empty), number)
        rng = np.random.default_rng(key)
        energy, clen, photons = (
            value.draw(rng) if isinstance(value, Range) else value
            for value in (condition.photon_energy_ev, condition.clen_m, condition.photons)
        )
        # Names give the energy to one eV, and shall not lie.
        energy = round(energy) if isinstance(condition.photon_energy_ev, Range) else energy
        name = FrameName(
            condition.dataset, format_kev(energy), condition.clen_number, number, is_empty
        )
        return FrameJob(name, condition, float(energy), clen, photons)


def jobs_by_name(tree: Tree) -> dict[str, FrameJob]:
    """Return the frames that a tree should have, by name; empty for trees made by others.

    Raises
    ------
    InputError
        The recipe cannot be read.
    """
    if not tree.is_simulated:
        return {}
    jobs = read_recipe(tree.root / RECIPE_NAME).jobs()
    return {f"{job.folder}/{job.name}": job for job in jobs}


def count_empties(patterns: int, percent: float) -> int:
    """Return how many frames without a crystal a percentage is: of 100 frames, 50 % are 50.

    They are added to the others, which makes 150; fractions of a frame are left out.
    """
    return int(patterns * percent / 100 + 1e-9)


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as JSON.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    content = {"schema": SCHEMA, **dataclasses.asdict(recipe), "settings": dict(recipe.settings)}
    try:
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def read_recipe(path: Path) -> Recipe:
    """Read what :func:`write_recipe` wrote.

    Raises
    ------
    InputError
        The file cannot be read or is no recipe of a version known here.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise InputError(f"{path}: not of schema {SCHEMA}: make the tree anew")
        settings = content.pop("settings")
        conditions = [
            {name: _value(value) for name, value in condition.items()}
            for condition in content.pop("conditions")
        ]
        return Recipe(
            **content,
            settings=tuple((name, freeze(value)) for name, value in settings.items()),
            conditions=tuple(Condition(**condition) for condition in conditions),
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: no recipe of a tree ({error}); copy it again, or make the tree anew"
        ) from error


def _value(value: Any) -> Any:
    return Range(**value) if isinstance(value, dict) else value
