"""Settings of the simulator by name, as command lines and recipes give them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from cxlsfind.errors import CxlsfindError, UsageError
from cxlsfind.sim.patterns import PatternSettings

#: Name and value: numbers, words, tuples of these. Those of a part are ``background.water_m``.
Setting = tuple[str, Any]

#: What data sets, conditions or options of their own settle.
_GIVEN: Final = ("detector", "crystal", "photon_energy_ev", "clen_m", "photons", "seed")


def parse_settings(texts: Sequence[str]) -> tuple[Setting, ...]:
    """Return settings from words such as ``bandwidth=0.02``, by name; the last word counts.

    Raises
    ------
    UsageError
        A word is not of that form.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise UsageError(f"{text!r} is no setting: write NAME=VALUE")
        try:
            settings[name.strip()] = freeze(json.loads(value))
        except json.JSONDecodeError:
            settings[name.strip()] = value.strip()
    return tuple(sorted(settings.items()))


def freeze(value: Any) -> Any:
    """Return a value read from JSON with tuples for lists."""
    return tuple(freeze(item) for item in value) if isinstance(value, list) else value


def apply_settings(settings: PatternSettings, changes: Iterable[Setting]) -> PatternSettings:
    """Return settings with some of them changed.

    Raises
    ------
    UsageError
        A setting does not exist, has an option of its own, or a value without a meaning.
    """
    for name, value in changes:
        part, dot, field = name.partition(".")
        if not dot:
            settings = _changed(settings, name, value, name)
            continue
        inner = getattr(settings, part) if part in _free_names(settings) else None
        if not _has_parts(inner):
            raise UsageError(f"{name}: there is no part {part!r} of the settings")
        settings = replace(settings, **{part: _changed(inner, field, value, name)})
    return settings


def _changed(settings: Any, field: str, value: Any, name: str) -> Any:
    if field in _GIVEN:
        raise UsageError(f"{name} is no free setting: give it by its own option")
    if field not in _free_names(settings):
        known = ", ".join(_free_names(settings))
        raise UsageError(f"there is no setting {name}: expected one of {known}")
    present = getattr(settings, field)
    if _has_parts(present):
        raise UsageError(f"{name} has parts: set one of them, {', '.join(_free_names(present))}")
    expected = _expected(present, value)
    if expected:
        raise UsageError(f"{name} is {value!r}: expected {expected}")
    try:
        return replace(settings, **{field: value})
    except CxlsfindError:
        raise
    except (TypeError, ValueError) as error:  # a list of the wrong things
        raise UsageError(f"{name} is {value!r}: {error}") from error


def _expected(present: Any, value: Any) -> str:
    """Return what a value should be, from what is there; empty where it is of that kind."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(present, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(present, int):
        return "" if is_number and isinstance(value, int) else "a whole number"
    if isinstance(present, float):
        return "" if is_number else "a number"
    if isinstance(present, str):
        return "" if isinstance(value, str) else "a word"
    if isinstance(present, tuple):
        return "" if isinstance(value, tuple) else "a list in brackets"
    is_pair = isinstance(value, tuple) and [type(item) for item in value] in _PAIRS
    return "" if is_number or is_pair else "a number, or two of them in brackets"


_PAIRS: Final = [[a, b] for a in (int, float) for b in (int, float)]


def _free_names(settings: Any) -> list[str]:
    names = (field.name for field in dataclasses.fields(settings))
    return [name for name in names if name not in _GIVEN]


def _has_parts(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
