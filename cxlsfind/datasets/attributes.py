"""Give files the attributes that they should have."""

from __future__ import annotations

from cxlsfind.datasets.catalog import guess_condition
from cxlsfind.datasets.images import (
    CLEN,
    PEAK,
    PHOTON_ENERGY,
    Attribute,
    ImageFileError,
    add_attributes,
    read_attributes,
)
from cxlsfind.datasets.naming import WATER
from cxlsfind.datasets.tree import Frame, Tree


def complete_frame(
    tree: Tree, frame: Frame, photon_energy_ev: float | None, clen_m: float | None
) -> int:
    """Set the attributes of a frame's files that are missing, misspelt, wrong or make no sense.

    Parameters
    ----------
    photon_energy_ev, clen_m
        Photon energy (eV) and camera length (m) as they should be. Where these are ``None``, what
        the files say is kept, and what they do not say follows from the frame's name and the
        number of its data set.

    Returns
    -------
    Number of files that were changed.

    Raises
    ------
    ImageFileError
        A file cannot be read or changed, or nothing tells what to set.
    """
    energy, clen = guess_condition(frame)
    changed = 0
    water = tree.water_of(frame)
    paths = {**frame.paths} if water is None else {**frame.paths, WATER: water}
    for branch, path in paths.items():
        known = read_attributes(path)
        wanted: dict[str, Attribute | None] = {
            CLEN: clen_m or known.clen_m or clen,
            PHOTON_ENERGY: photon_energy_ev or known.photon_energy_ev or energy,
            PEAK: branch != WATER and not frame.has_empty_name,
        }
        missing = [name for name, value in wanted.items() if value is None]
        if missing:
            raise ImageFileError(
                f"{path}: the name does not tell what {missing[0]!r} is: give --set-camera-length "
                "and --set-photon-energy"
            )
        present = {CLEN: known.clen_m, PHOTON_ENERGY: known.photon_energy_ev, PEAK: known.peak}
        respelled = {name for _, name in known.respelled}
        new = {
            name: value
            for name, value in wanted.items()
            if value is not None and (value != present[name] or name in respelled)
        }
        if new:
            add_attributes(path, new)
            changed += 1
    return changed
