"""Outputs that appear complete or not at all.

Files are written under hidden names beside their final ones and renamed together at the end, so
that a reader never meets half a run, and a run that fails leaves nothing behind.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from cxlsfind.errors import InputError


class AtomicFiles:
    """A set of files of one folder that are renamed into place together.

    As a context manager it removes, at its end, whatever was not committed.

    Parameters
    ----------
    folder
        Where the files go; must exist.
    names
        Every name that belongs to the set, written in this run or not.
    overwrite
        Whether files of the set from an earlier run may be replaced.
    """

    def __init__(self, folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
        self.folder = folder
        self.names = tuple(names)
        self.overwrite = overwrite
        self._parts: dict[str, Path] = {}

    def __enter__(self) -> AtomicFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def check(self, inputs: Iterable[Path] = ()) -> None:
        """Find out, before the run, whether the set can be written.

        Parameters
        ----------
        inputs
            Files that the run reads: never replaced, not even with ``overwrite``.

        Raises
        ------
        InputError
            The folder is missing or takes no files, a member exists and may not be replaced,
            or a member is one of the inputs.
        """
        if not self.folder.is_dir():
            raise InputError(
                f"{self.folder}: no such folder for the outputs; create it or choose another -o"
            )
        self.refuse_inputs(inputs)
        odd = [name for name in self._existing() if not (self.folder / name).is_file()]
        if odd:
            raise InputError(
                f"{self.folder}: {', '.join(odd)}: exists and is no regular file; choose another -o"
            )
        self._refuse_existing("remove them, choose another -o, or give --overwrite")
        try:
            # Permission bits do not tell (root, network file systems, quotas): try it.
            longest = max(self.names, key=lambda name: len(os.fsencode(name)))
            self.part(longest).write_bytes(b"0")
        except OSError as error:
            raise InputError(
                f"{self.folder}: the outputs cannot be written here: {error.strerror}; "
                "choose another -o"
            ) from error
        finally:
            self.discard()

    def refuse_inputs(self, inputs: Iterable[Path]) -> None:
        """Make sure that no file that the run reads would be replaced.

        Raises
        ------
        InputError
            A member of the set is one of the inputs.
        """
        read = {os.path.realpath(path) for path in inputs}
        own = [name for name in self.names if os.path.realpath(self.folder / name) in read]
        if own:
            raise InputError(
                f"{self.folder}: {', '.join(own)}: the run reads this and would replace it with "
                "its own output; choose another -o or rename the input"
            )

    def remove_leftovers(self) -> None:
        """Remove temporary files of runs of this set that were killed.

        Only for whoever knows that no such run is still at work.
        """
        for name in self.names:
            for path in self.folder.glob(f".{glob.escape(name)}.part-????????"):
                path.unlink(missing_ok=True)

    def part(self, name: str) -> Path:
        """Create the temporary file that becomes ``name``, empty, and return its path."""
        while True:
            path = self.folder / f".{name}.part-{os.urandom(4).hex()}"
            try:
                # Not mkstemp: its files are unreadable for everybody else, for good.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                continue
            self._parts[name] = path
            return path

    def commit(self) -> None:
        """Give all parts their final names and remove other members of the set.

        Raises
        ------
        InputError
            A member appeared during the run although ``overwrite`` is off. The parts, which are
            complete, then stay under their temporary names.
        """
        for path in self._parts.values():
            _flush(path)
        try:
            places = ", ".join(path.name for path in self._parts.values())
            self._refuse_existing(
                "they appeared during this run, whose own outputs are complete and kept under "
                f"other names: {places}"
            )
        except InputError:
            self._parts.clear()
            raise
        # Stale members go first: at no time does the set mix files of two runs beside a new one.
        for name in self._existing():
            if name not in self._parts:
                (self.folder / name).unlink()
        for name in list(self._parts):
            self._parts[name].replace(self.folder / name)
            del self._parts[name]
        _flush(self.folder)

    def discard(self) -> None:
        """Remove every part that was not committed."""
        for path in self._parts.values():
            path.unlink(missing_ok=True)
        self._parts.clear()

    def _existing(self) -> list[str]:
        return [name for name in self.names if os.path.lexists(self.folder / name)]

    def _refuse_existing(self, remedy: str) -> None:
        existing = self._existing()
        if existing and not self.overwrite:
            raise InputError(f"{self.folder}: {', '.join(existing)}: exist already; {remedy}")


def _flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to its disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
