"""Remarks about files, joined where many files deserve the same one."""

from __future__ import annotations


class Notes:
    """Remarks in the order in which they were first made."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, None]] = {}

    def add(self, file: str, text: str) -> None:
        """Remark something about a file; the same remark again does nothing."""
        self._files.setdefault(text, {})[file] = None

    @property
    def lines(self) -> tuple[str, ...]:
        """One line per remark: the first file it was made about, and how many there are."""
        lines = []
        for text, files in self._files.items():
            first, more = next(iter(files)), len(files) - 1
            which = first if not more else f"{first} and {more} more file{'s'[: more - 1]}"
            lines.append(f"{which}: {text}")
        return tuple(lines)
