"""Settings from a file: ``--config FILE.toml``, with the options of the command line as keys."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any


def file_arguments(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    """Return the settings of a TOML file as arguments, to be parsed before the command line's.

    Raises
    ------
    ValueError
        The file cannot be read, is no TOML, or has a key that is no option or a value that its
        option does not take.
    """
    actions = {
        option.lstrip("-"): action
        for action in parser._actions
        for option in action.option_strings
        if action.help is not argparse.SUPPRESS
    }
    arguments: list[str] = []
    for key, value in _read(path).items():
        action = actions.get(key)
        if action is None or key in {"config", "help", "version"}:
            raise ValueError(f"unknown key '{key}'; keys are the options without dashes")
        # The long name, where there is one, takes its value in the same word: also a '-x'.
        name = action.option_strings[-1]
        for item in _values(key, value, action):
            if action.nargs != 0:
                arguments.append(f"{name}={item}" if name.startswith("--") else f"{name}{item}")
            elif item:
                arguments.append(name)
    return arguments


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not text in UTF-8, as TOML files are") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {error}") from error


def _values(key: str, value: Any, action: argparse.Action) -> list[Any]:
    is_flag, is_repeatable = action.nargs == 0, isinstance(action, argparse._AppendAction)
    values = value if isinstance(value, list) and is_repeatable else [value]
    if any(isinstance(item, dict | list) or isinstance(item, bool) != is_flag for item in values):
        expected = "true or false" if is_flag else "a number or a string"
        more = ", or a list of them" if is_repeatable else ""
        raise ValueError(f"{key} = {value!r} is not what {key} takes: {expected}{more}")
    return values
