"""Finding geometry files: the user's, and those that come with cxlsfind."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from cxlsfind.errors import GeometryError

_SUFFIX = ".geom"


def find_geometry(name: str) -> Path:
    """Return the path of a geometry file.

    ``name`` may leave the ``.geom`` out. The working directory comes first; a bare name that is
    not there is looked for among the geometries that come with cxlsfind.

    Raises
    ------
    GeometryError
        There is no such file.
    """
    directories = [Path()]
    if Path(name).name == name:
        directories += shipped_directories()
    for directory in directories:
        for candidate in (directory / name, directory / f"{name}{_SUFFIX}"):
            if candidate.is_file():
                return candidate
    shipped = sorted({file.stem for path in shipped_directories() for file in path.glob("*.geom")})
    raise GeometryError(
        f"no such file; expected one in the working directory, or one of: {', '.join(shipped)}",
        file=name,
    )


def shipped_directories() -> list[Path]:
    """Return the directories that may hold shipped geometries: in a checkout, and installed."""
    checkout = Path(__file__).parents[2] / "geom"
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    installed = [
        Path(sysconfig.get_path("data", scheme)) / "share" / "cxlsfind" / "geom"
        for scheme in schemes
    ]
    return [path for path in (checkout, *installed) if path.is_dir()]
