"""Whether the files of one frame are whole, say what they should, and agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from cxlsfind.datasets.catalog import LABEL_SOURCE
from cxlsfind.datasets.findings import Finding
from cxlsfind.datasets.images import (
    FrameAttributes,
    Image,
    ImageFileError,
    read_attributes,
    read_ignore,
    read_image,
    read_mask,
    read_truth,
)
from cxlsfind.datasets.labels import FROM_TRUTH, NO_CRYSTAL, label_expected
from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS, WATER, named_kev, parse_name
from cxlsfind.datasets.tree import Frame

_EV: Final = 0.5 + 1e-6  #: names give energies to one eV
_SET: Final = "see 'cxlsfind-dataset attributes'"


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """What to check of one frame.

    Parameters
    ----------
    water
        Image of the background: the frame's own or its data set's.
    photon_energy_ev, clen_m
        What is expected; ``None`` where nothing is known beforehand.
    mask
        Mask file of a simulated tree.
    """

    frame: Frame
    water: Path | None
    photon_energy_ev: float | None = None
    clen_m: float | None = None
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class FrameState:
    """What was found of one frame.

    Parameters
    ----------
    findings
        Remarks on its files.
    photon_energy_ev, clen_m
        What its files say; ``None`` where they do not.
    shape
        Size (ss, fs) of its images; ``None`` where there is none to be read.
    """

    findings: tuple[Finding, ...]
    photon_energy_ev: float | None
    clen_m: float | None
    shape: tuple[int, int] | None


def check_frame(job: FrameCheck) -> FrameState:
    """Read all files of a frame; never raises for what is wrong with them."""
    paths = dict(job.frame.paths)
    findings: list[Finding] = []
    images: dict[str, Image] = {}
    known: dict[str, FrameAttributes] = {}
    if job.water is not None:
        paths[WATER] = job.water
    for branch, path in paths.items():
        try:
            known[branch] = read_attributes(path)
            images[branch] = read_image(path)
        except ImageFileError as error:
            findings.append(Finding(path, str(error).removeprefix(f"{path}: ")))
    for branch, attributes in known.items():
        texts = _attribute_problems(job, branch, attributes)
        findings += [Finding(paths[branch], text) for text in texts]
        findings += [
            Finding(paths[branch], f"attribute {found!r} is read as {expected!r}", is_problem=False)
            for found, expected in attributes.respelled
        ]
    source = known[LABELS].others.get(LABEL_SOURCE) if LABELS in known else None
    if source not in (None, FROM_TRUTH, NO_CRYSTAL):
        findings.append(Finding(paths[LABELS], f"a label by {source}", is_problem=False))
    shapes = Counter(image.shape for image in images.values())
    shape = shapes.most_common(1)[0][0] if shapes else None
    for branch, image in images.items():
        findings += [Finding(paths[branch], t) for t in _image_problems(branch, image, shape)]
    if not findings or not any(finding.is_problem for finding in findings):
        findings += _disagreements(job, paths, images, known)
    speaker = known.get(OVERLAY) or known.get(PEAKS) or next(iter(known.values()), None)
    return FrameState(
        tuple(findings),
        speaker.photon_energy_ev if speaker else None,
        speaker.clen_m if speaker else None,
        (int(shape[0]), int(shape[1])) if shape else None,
    )


def _attribute_problems(job: FrameCheck, branch: str, attributes: FrameAttributes) -> Iterator[str]:
    yield from (f"{text}: {_SET}" for text in attributes.odd)
    said = {
        "clen": attributes.clen_m,
        "photon_energy": attributes.photon_energy_ev,
        "peak": attributes.peak,
    }
    for name, value in said.items():
        if value is None and not any(repr(name) in text for text in attributes.odd):
            yield f"no attribute {name!r}: {_SET}"
    expected = job.clen_m
    if expected is not None and attributes.clen_m not in (None, expected):
        yield f"attribute 'clen' is {attributes.clen_m:g}, expected {expected:g}: {_SET}"
    yield from _energy_problems(job, attributes.photon_energy_ev)
    peak = branch != WATER and not job.frame.has_empty_name
    if attributes.peak is not None and attributes.peak != peak:
        why = "water alone" if branch == WATER else f"the name {job.frame.key}"
        yield f"attribute 'peak' is {attributes.peak}, expected {peak} for {why}: {_SET}"


def _energy_problems(job: FrameCheck, energy: float | None) -> Iterator[str]:
    if energy is None:
        return
    expected = job.photon_energy_ev
    kev = named_kev(job.frame.key)
    if expected is not None and energy != expected:
        yield f"attribute 'photon_energy' is {energy:g}, expected {expected:g}: {_SET}"
    elif kev is not None and abs(energy - kev * 1000) > _EV:
        yield (
            f"attribute 'photon_energy' is {energy:g}, but the name says {kev:g} keV: {_SET}, or "
            "rename the frame"
        )


def name_problem(frame: Frame) -> str | None:
    """Return what is wrong with a name; ``None`` where it follows the scheme of simulated trees."""
    name = parse_name(frame.key)
    if name is None:
        return "the name is not of the form NN_EkeV_clenMM_nnnnnn.h5"
    if name.dataset != int(frame.dataset):
        return (
            f"the name says data set {name.dataset:02d}, but the folder is {frame.dataset}: move "
            "or rename the file"
        )
    return None


def _image_problems(branch: str, image: Image, shape: tuple[int, ...] | None) -> Iterator[str]:
    if image.shape != shape:
        yield f"the image has {image.shape} pixels, the frame's others {shape}: make it again"
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        yield "the image holds values that are no numbers (NaN or infinite): make it again"
    elif image.dtype.kind in "if" and image.min(initial=0) < 0:
        yield f"the image holds {image.min():g}, expected zero or more photons: make it again"
    elif branch == LABELS and not ((image == 0) | (image == 1)).all():
        yield "a label holds other values than 0 and 1: make it anew with 'cxlsfind-dataset labels'"


def _disagreements(
    job: FrameCheck,
    paths: Mapping[str, Path],
    images: Mapping[str, Image],
    known: Mapping[str, FrameAttributes],
) -> Iterator[Finding]:
    """Compare the branches of a frame whose files are all right for themselves."""
    lit = [branch for branch in (PEAKS, LABELS) if branch in images and images[branch].any()]
    if job.frame.has_empty_name and lit:
        text = "not all zero although the frame has no crystal: make it again"
        yield from (Finding(paths[branch], text) for branch in lit)
        return
    if {PEAKS, OVERLAY, WATER} <= set(images):
        different = _count_different(images[OVERLAY], images[PEAKS], images[WATER])
        if different:
            yield Finding(
                paths[OVERLAY],
                f"{different} pixels differ from peaks plus water: make it anew with "
                "'cxlsfind-dataset overlay --overwrite'",
            )
    if LABELS in known and known[LABELS].others.get(LABEL_SOURCE) == FROM_TRUTH:
        yield from _label_disagreements(job, paths, images[LABELS])


def _count_different(overlay: Image, peaks: Image, water: Image) -> int:
    if all(image.dtype.kind in "iub" for image in (overlay, peaks, water)):
        wide = np.int64 if max(i.dtype.itemsize for i in (overlay, peaks, water)) > 2 else np.int32
        return int(np.count_nonzero(overlay != np.add(peaks, water, dtype=wide)))
    total: Any = peaks.astype(np.float64) + water
    return int(np.count_nonzero(~np.isclose(overlay, total, rtol=1e-5, atol=1e-6)))


def _label_disagreements(
    job: FrameCheck, paths: Mapping[str, Path], label: Image
) -> Iterator[Finding]:
    if job.mask is None or PEAKS not in paths or not job.mask.is_file():
        return
    truth = read_truth(paths[PEAKS])
    if truth is None:
        return
    expected = label_expected(truth, read_mask(job.mask) == 0)
    ignore = read_ignore(paths[LABELS])
    if (expected.spots != label).any() or ignore is None or (expected.ignore != ignore).any():
        yield Finding(
            paths[LABELS],
            "does not fit the expected photons beside the peaks: make it anew with "
            "'cxlsfind-dataset labels --overwrite'",
        )
