"""Roles of the dimensions of a dataset: ``dimN = ss``, ``fs``, ``%`` or a fixed index."""

from __future__ import annotations

from typing import Final

from cxlsfind.geometry.cnumbers import strtoul, wrap_int32
from cxlsfind.geometry.lexer import Notes, Statement
from cxlsfind.geometry.model import Dim

MAX_DIMENSIONS: Final = 16

#: A dimension without a role. CrystFEL's parser accepts it, its reader does not.
UNDEFINED: Final = -3

#: Numbers that CrystFEL takes for the words: it uses the same integers for both.
_WORD_CODES: Final[dict[int, Dim]] = {-1: "fs", -2: "ss", -4: "%"}
_WORDS: Final[dict[str, Dim]] = {"fs": "fs", "ss": "ss", "%": "%"}


def set_dimension(dims: list[Dim], statement: Statement, notes: Notes) -> None:
    """Apply ``dimN = role`` to the roles of a panel, ``dims``, of length 16.

    Lines that CrystFEL complains about without refusing the file are ignored, as it does.

    Raises
    ------
    GeometryError
        The number of the dimension is negative: CrystFEL's fate depends on what it overwrites.
    """
    number = strtoul(statement.key.removeprefix("dim"))
    index = wrap_int32(number.value)
    value = strtoul(statement.value)
    if statement.key == "dim" or not number.complete:
        problem = "expected dim0, dim1, ..."
    elif statement.value not in _WORDS and not value.complete:
        problem = "expected fs, ss, % or a number"
    elif index >= MAX_DIMENSIONS:
        problem = f"there can be {MAX_DIMENSIONS} dimensions"
    elif index == -1:
        problem = "expected dim0, dim1, ..."  # so close that CrystFEL gets away with it
    elif index < -1:
        raise statement.refusal(f"found {statement.full_key!r}; expected dim0, dim1, ...")
    else:
        code = wrap_int32(value.value)
        dims[index] = _WORDS.get(statement.value, _WORD_CODES.get(code, code))
        if isinstance(dims[index], int) and (code < 0 or not value.found):
            notes.add(statement.line, f"{statement.shown} is no index")
        return
    notes.add(statement.line, f"{statement.shown} is ignored: {problem}")


def given_dimensions(dims: list[Dim]) -> tuple[Dim, ...]:
    """Return the roles up to the last dimension that has one."""
    last = max((n for n, role in enumerate(dims) if role != UNDEFINED), default=-1)
    return tuple(dims[: last + 1])


def leading_dimensions(dims: list[Dim]) -> list[Dim]:
    """Return the roles before the first dimension that has none, which are all CrystFEL checks."""
    return dims[: dims.index(UNDEFINED)] if UNDEFINED in dims else dims
