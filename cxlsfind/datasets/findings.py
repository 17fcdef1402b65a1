"""What a check has to say of files, gathered into a list that a person can read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAMED: Final = 3  #: files of which the same is said are named up to this number


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One remark on one file.

    Parameters
    ----------
    path
        File or folder.
    text
        What was found, what was expected, and the remedy.
    is_problem
        False for what is merely worth knowing.
    """

    path: Path
    text: str
    is_problem: bool = True


def summarise(findings: Iterable[Finding]) -> list[str]:
    """Return one line per file, or one for all files of a folder of which the same is said."""
    groups: dict[tuple[Path, str], list[str]] = defaultdict(list)
    for finding in sorted(set(findings)):
        groups[finding.path.parent, finding.text].append(finding.path.name)
    lines = []
    for (folder, text), names in groups.items():
        if len(names) <= _NAMED:
            lines += [f"{folder / name}: {text}" for name in names]
        else:
            shown = ", ".join(names[:_NAMED])
            lines.append(f"{folder}: {shown} and {len(names) - _NAMED} more: {text}")
    return lines
