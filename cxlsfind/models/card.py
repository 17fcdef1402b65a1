"""The card of a model: what it is for, which data it fits, how it was made and how well it does.

The card travels inside the model's file as ``cxlsfind.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from cxlsfind.errors import InputError

CARD_NAME: Final = "cxlsfind.json"
SCHEMA: Final = "cxlsfind-card/1"

#: Integer types whose counts a model can take.
COUNT_TYPES: Final = ("uint8", "uint16", "uint32", "int16", "int32")

Range = tuple[float, float]


class ModelRefusedError(InputError):
    """A model's file cannot be used, or not for these data."""


@dataclass(frozen=True, slots=True)
class DataDescription:
    """What a run's data are, as far as it matters to models.

    Parameters
    ----------
    dtype
        Type of the counts in the file, in numpy's name: ``uint16``; ``None`` where it is not known.
    pixel_size_m
        Edge of a pixel, metres.
    photon_energy_ev
        Photon energy, eV; ``None`` where it is not known.
    pulses_per_frame
        X-ray pulses summed in a frame.
    """

    dtype: str | None
    pixel_size_m: float
    photon_energy_ev: float | None
    pulses_per_frame: float


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself.

    Parameters
    ----------
    task
        What it does: ``peak`` or ``hit``.
    version
        Version of cxlsfind that exported it.
    inputs
        Shape of every input of ``forward``, letters for what may vary.
    dtypes
        Types of counts that it takes.
    pixel_size_m, photon_energy_ev
        Ranges that it was made for, metres and eV.
    background
        Range of backgrounds that it was trained on, photons per pixel.
    least_pulses
        Fewest X-ray pulses per frame: with fewer, counts are not Poisson.
    priors
        What it takes for granted: widths of spots (px), spots per frame, mean photons.
    calibration
        How often background alone reaches its scores; see :mod:`cxlsfind.models.calibration`.
    training
        Command, commit, hash of the simulator, seeds and sizes of the data.
    metrics
        How well it did on data that it was not trained on.
    golden
        Inputs and outputs that it must reproduce when it is loaded.
    licence
        Under which the weights are given away.
    """

    task: str
    version: str
    inputs: dict[str, list[int | str]]
    dtypes: tuple[str, ...]
    pixel_size_m: Range
    photon_energy_ev: Range
    background: Range
    least_pulses: float
    priors: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    golden: dict[str, Any] = field(default_factory=dict)
    licence: str = "BSD-3-Clause"

    def to_json(self) -> str:
        """Return the card as it is kept in the file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, allow_nan=False)

    def misfits(self, data: DataDescription) -> list[str]:
        """Return why the model does not fit the data, one reason each; empty if it does."""
        reasons = []
        if data.dtype is not None and data.dtype not in self.dtypes:
            reasons.append(f"the data are {data.dtype}, it takes {', '.join(self.dtypes)}")
        if not _within(data.pixel_size_m, self.pixel_size_m):
            low, high = (1e6 * size for size in self.pixel_size_m)
            reasons.append(
                f"pixels are {1e6 * data.pixel_size_m:g} um, it was made for {low:g} to {high:g} um"
            )
        energy = data.photon_energy_ev
        if energy is not None and not _within(energy, self.photon_energy_ev):
            low, high = self.photon_energy_ev
            reasons.append(f"photons have {energy:g} eV, it was made for {low:g} to {high:g} eV")
        if data.pulses_per_frame < self.least_pulses:
            reasons.append(
                f"a frame has {data.pulses_per_frame:g} X-ray pulses, it needs "
                f"{self.least_pulses:g} or more"
            )
        return reasons


def parse_card(text: str, *, file: str) -> Card:
    """Read a card.

    Raises
    ------
    ModelRefusedError
        It is no card of a version known here.
    """
    try:
        content = json.loads(text)
        schema = content.pop("schema")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelRefusedError(
            f"{file}: {CARD_NAME} in it is no card of a model; export it with cxlsfind-export"
        ) from error
    if schema != SCHEMA:
        raise ModelRefusedError(
            f"{file}: its card is {schema!r}, expected {SCHEMA!r}; export it again"
        )
    known = {item.name for item in fields(Card)}
    if set(content) != known:
        odd = ", ".join(sorted(set(content) ^ known))
        raise ModelRefusedError(f"{file}: its card lacks, or has too many of: {odd}")
    for name in ("pixel_size_m", "photon_energy_ev", "background", "dtypes"):
        content[name] = tuple(content[name])
    return Card(**content)


def _within(value: float, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]
