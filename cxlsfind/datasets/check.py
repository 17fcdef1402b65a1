"""Whether the files of a tree are all there, whole, rightly named, and agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cxlsfind.datasets.check_frame import FrameCheck, FrameState, check_frame, name_problem
from cxlsfind.datasets.findings import Finding
from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS, WATER, named_kev, parse_name
from cxlsfind.datasets.recipe import FrameJob, jobs_by_name
from cxlsfind.datasets.tree import MASK_NAME, RECIPE_NAME, Frame, Tree
from cxlsfind.datasets.workers import run_jobs

_AGAIN = "run 'cxlsfind-dataset make' again with the same options, or copy it again"


@dataclass(frozen=True, slots=True)
class Expectation:
    """How many frames every data set should have; ``None`` where that is open.

    Parameters
    ----------
    patterns, empties
        Frames with and without a crystal.
    """

    patterns: int | None = None
    empties: int | None = None


def check_tree(
    tree: Tree, expected: Expectation, *, processes: int, tell: Callable[[int], None]
) -> list[Finding]:
    """Return all remarks on a tree, problems and others.

    Parameters
    ----------
    tell
        Called with the number of frames checked so far.

    Raises
    ------
    InputError
        The recipe of a simulated tree cannot be read.
    """
    made = jobs_by_name(tree)
    findings = [*_structure(tree), *_pairing(tree)]
    findings += _missing(tree, made) if tree.is_simulated else _foreign_remarks(tree)
    findings += _counts(tree, expected)
    states = []
    for number, state in enumerate(
        run_jobs(check_frame, [_frame_check(tree, f, made) for f in tree.frames], processes), 1
    ):
        states.append(state)
        findings += state.findings
        tell(number)
    findings += _outliers(tree, states, has_recipe=tree.is_simulated)
    return findings


def _frame_check(tree: Tree, frame: Frame, made: dict[str, FrameJob]) -> FrameCheck:
    job = made.get(frame.name)
    return FrameCheck(
        frame,
        tree.water_of(frame),
        job.photon_energy_ev if job else None,
        job.clen_m if job else None,
        tree.root / MASK_NAME if job else None,
    )


def _structure(tree: Tree) -> Iterator[Finding]:
    for path in tree.extras:
        yield Finding(path, "belongs to no frame and is left alone", is_problem=False)
    for path, other in tree.twins:
        yield Finding(path, f"is the same frame as {other.name}: remove or rename one of them")
    for branch, remedy in (
        (PEAKS, "frames without it are known by their overlay alone"),
        (LABELS, "'cxlsfind-dataset labels' makes it"),
        (OVERLAY, "'cxlsfind-dataset overlay' makes it"),
        (WATER, "what is background cannot be told apart from what is not"),
    ):
        if branch in tree.missing_branches:
            yield Finding(
                tree.root / branch, f"there is no such branch; {remedy}", is_problem=False
            )


def _pairing(tree: Tree) -> Iterator[Finding]:
    present = [b for b in (PEAKS, LABELS, OVERLAY, WATER) if b not in tree.missing_branches]
    for frame in tree.frames:
        for branch in present:
            if branch in frame.paths or (branch == WATER and tree.water_of(frame) is not None):
                continue
            yield Finding(
                tree.root / branch / frame.dataset / frame.key,
                f"missing, although {frame.any_path.relative_to(tree.root)} is there: {_AGAIN}",
            )


def _missing(tree: Tree, made: dict[str, FrameJob]) -> Iterator[Finding]:
    """Compare the frames of a simulated tree with its recipe."""
    found = {frame.name: frame for frame in tree.frames}
    for name in made.keys() - found.keys():
        yield Finding(tree.root / "*" / name, f"missing in all branches: {_AGAIN}")
    for name in found.keys() - made.keys():
        remedy = "move it elsewhere: it is none of the frames that were simulated here"
        text = name_problem(found[name])
        yield Finding(found[name].any_path, f"{text}; {remedy}" if text else remedy)
    totals = Counter(job.folder for job in made.values())
    counts = Counter(frame.dataset for frame in tree.frames)
    for dataset, total in sorted(totals.items()):
        if counts[dataset] != total:
            text = f"{counts[dataset]} frames, expected {total} as {RECIPE_NAME} says: {_AGAIN}"
            yield Finding(tree.root / "*" / dataset, text)


def _counts(tree: Tree, expected: Expectation) -> Iterator[Finding]:
    for dataset in tree.datasets:
        frames = [frame for frame in tree.frames if frame.dataset == dataset]
        empties = sum(frame.has_empty_name for frame in frames)
        for what, count, wanted in (
            ("frames with a crystal", len(frames) - empties, expected.patterns),
            ("frames without a crystal", empties, expected.empties),
        ):
            if wanted is not None and count != wanted:
                text = f"{count} {what}, expected {wanted}: add or remove frames"
                yield Finding(tree.root / "*" / dataset, text)


def _foreign_remarks(tree: Tree) -> Iterator[Finding]:
    """Tell what trees made by others do differently; all of it is understood."""
    for dataset, path in tree.shared_water.items():
        yield Finding(
            path,
            f"one water image for all of data set {dataset}: its noise, the same in every frame, "
            "gives the data set away; never divide these frames between training and test",
            is_problem=False,
        )
    for frame in tree.frames:
        text = name_problem(frame)
        if text:
            is_wrong = parse_name(frame.key) is not None
            yield Finding(frame.any_path, text, is_problem=is_wrong)


def _outliers(tree: Tree, states: Iterable[FrameState], *, has_recipe: bool) -> Iterator[Finding]:
    """Find frames that differ from most of their data set in what all should share."""
    pairs = list(zip(tree.frames, states, strict=True))
    yield from _odd_ones([(f, s.shape) for f, s in pairs], "images have {} pixels")
    if has_recipe:
        return
    for dataset in tree.datasets:
        own = [(frame, state) for frame, state in pairs if frame.dataset == dataset]
        clens = [(frame, state.clen_m) for frame, state in own]
        yield from _odd_ones(clens, "attribute 'clen' is {}")
        unnamed = [(f, s.photon_energy_ev) for f, s in own if named_kev(f.key) is None]
        yield from _odd_ones(unnamed, "attribute 'photon_energy' is {}")


def _odd_ones(values: Sequence[tuple[Frame, object]], what: str) -> Iterator[Finding]:
    counts = Counter(value for _, value in values if value is not None)
    if len(counts) < 2:
        return
    ((usual, number),) = counts.most_common(1)
    for frame, value in values:
        if value is not None and value != usual:
            yield Finding(
                frame.any_path,
                f"{what.format(value)}, but {usual} in {number} other frames: "
                "correct it, or move it to a data set of its own",
            )
