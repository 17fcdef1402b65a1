"""Hashes of all files of a tree, in the format of ``sha256sum``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cxlsfind.datasets.findings import Finding, summarise
from cxlsfind.datasets.naming import BRANCHES
from cxlsfind.datasets.tree import GEOMETRY_NAME, MANIFEST_NAME, MASK_NAME, RECIPE_NAME
from cxlsfind.errors import InputError, InputProblemsError

_REMEDY = "copy or make it again, or renew the manifest if the change was meant"


def write_manifest(root: Path) -> int:
    """Write the hashes of all files of a tree into it; return the number of files.

    Raises
    ------
    InputError
        A file cannot be read, or the manifest cannot be written.
    """
    lines = [f"{_hash(root / name)}  {name}\n" for name in _names(root)]
    part = root / f".{MANIFEST_NAME}.part"
    try:
        part.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
        part.replace(root / MANIFEST_NAME)
    except OSError as error:
        raise InputError(f"{root / MANIFEST_NAME}: cannot be written: {error.strerror}") from error
    return len(lines)


def verify_manifest(root: Path) -> int:
    """Compare all files of a tree with its manifest; return the number of files.

    Raises
    ------
    InputError
        There is no manifest, or it cannot be read.
    InputProblemsError
        Files were changed, are missing or were added.
    """
    expected = _read(root / MANIFEST_NAME)
    found = set(_names(root))
    problems: list[Finding] = []
    for name in sorted(found | set(expected), key=os.fsencode):
        path = root / name
        if name not in found:
            problems.append(Finding(path, f"missing; {_REMEDY}"))
        elif name not in expected:
            text = "not in the manifest; remove it, or renew the manifest"
            problems.append(Finding(path, text))
        elif _hash(path) != expected[name]:
            problems.append(Finding(path, f"differs from its hash in the manifest; {_REMEDY}"))
    if problems:
        raise InputProblemsError(summarise(problems))
    return len(expected)


def _names(root: Path) -> Iterator[str]:
    """Yield the files of a tree, relative to it, in order."""
    for name in (RECIPE_NAME, MASK_NAME, GEOMETRY_NAME):
        if (root / name).is_file():
            yield name
    for branch in BRANCHES:
        files = (path for path in (root / branch).rglob("*") if path.is_file())
        names = (path.relative_to(root).as_posix() for path in files)
        yield from sorted(names, key=os.fsencode)


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}; write one with 'cxlsfind-dataset manifest'"
        ) from error
    hashes = {}
    for number, line in enumerate(text.splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if len(digest) != 64 or not separator:
            raise InputError(
                f"{path}:{number}: no line of a manifest; write it anew with "
                "'cxlsfind-dataset manifest'"
            )
        hashes[name] = digest
    return hashes
