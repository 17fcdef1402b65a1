"""``cxlsfind-dataset``: make and manage data sets of images for training."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cxlsfind.cli.dataset_parser import build_parser
from cxlsfind.cli.dataset_progress import FrameCounter
from cxlsfind.cli.dataset_talk import ask, complain, confirm, usable_cores
from cxlsfind.errors import CxlsfindError, InputError, InputProblemsError, UsageError
from cxlsfind.parallel.launch import is_first_of_node, launched_ranks
from cxlsfind.parallel.signals import Reaction, stop_requests
from cxlsfind.parallel.speech import hand_over, say

if TYPE_CHECKING:
    from cxlsfind.datasets.additions import Addition
    from cxlsfind.datasets.catalog import Entry
    from cxlsfind.datasets.tree import Tree


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of ``cxlsfind-dataset``.

    Returns
    -------
    The exit code: 0, 2 for a wrong command line, 3 for bad input or where a check found problems.
    """
    with stop_requests() as stop:
        arguments = build_parser().parse_args(argv)
        stop.reaction = Reaction.RAISE
        try:
            if arguments.command == "make":
                from cxlsfind.cli.dataset_make import make

                return make(arguments)
            if launched_ranks(os.environ) > 1:
                raise UsageError(f"{arguments.command} runs on one rank: start it without mpirun")
            return _COMMANDS[arguments.command](arguments)
        except CxlsfindError as error:
            if is_first_of_node():
                complain(error)
            return error.exit_code


# What a command needs is loaded by the command, so that --help stays quick.


def _overlay(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.additions import add_overlay, plan_overlays
    from cxlsfind.datasets.tree import scan_tree

    tree = scan_tree(arguments.tree).only(arguments.datasets)
    jobs = plan_overlays(tree, overwrite=arguments.overwrite)
    return _add(arguments, add_overlay, jobs, "overlaid")


def _labels(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.additions import add_label, plan_labels
    from cxlsfind.datasets.tree import scan_tree

    tree = scan_tree(arguments.tree).only(arguments.datasets)
    jobs = plan_labels(tree, arguments.threshold, overwrite=arguments.overwrite)
    return _add(arguments, add_label, jobs, "labelled")


def _empties(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.additions import add_copied_empty, plan_copied_empties
    from cxlsfind.datasets.tree import scan_tree

    tree = scan_tree(arguments.tree)
    if tree.is_simulated:
        from cxlsfind.cli.dataset_make import add_empties

        return add_empties(arguments, tree)
    jobs = plan_copied_empties(tree, arguments.percent)
    if jobs:
        say(
            "this tree was not simulated here, so that its water cannot be drawn anew: frames "
            "without a crystal get the very noise of those with one, which gives them away"
        )
    return _add(arguments, add_copied_empty, jobs, "added")


def _add(
    arguments: argparse.Namespace,
    work: Callable[[Addition], str | None],
    jobs: Sequence[Addition],
    what: str,
) -> int:
    from cxlsfind.datasets.additions import do_additions

    if arguments.ask:
        confirm(f"{arguments.tree}: {len(jobs)} frames to be {what}: go on?")
    processes = arguments.processes or usable_cores()
    with FrameCounter(what, len(jobs)) as counter:
        do_additions(work, jobs, processes=processes, tell=counter.show)
    hand_over(f"{len(jobs)} frames {what}")
    return 0


def _attributes(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.attributes import complete_frame
    from cxlsfind.datasets.recipe import jobs_by_name
    from cxlsfind.datasets.tree import scan_tree

    tree = scan_tree(arguments.tree).only(arguments.datasets)
    if arguments.ask:
        confirm(f"{tree.root}: set missing attributes of {len(tree.frames)} frames: go on?")
    made = jobs_by_name(tree)
    changed, problems = 0, []
    for frame in tree.frames:
        job = made.get(frame.name)
        energy = arguments.set_photon_energy or (job.photon_energy_ev if job else None)
        clen = arguments.set_camera_length or (job.clen_m if job else None)
        try:
            changed += complete_frame(tree, frame, energy, clen)
        except InputError as error:
            problems.append(str(error))
    hand_over(f"{changed} files changed")
    if problems:
        raise InputProblemsError(problems)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.check import Expectation, check_tree
    from cxlsfind.datasets.findings import summarise
    from cxlsfind.datasets.tree import scan_tree

    tree = scan_tree(arguments.tree)
    expected = Expectation(arguments.patterns, arguments.empties)
    processes = arguments.processes or usable_cores()
    with FrameCounter("checked", len(tree.frames)) as counter:
        findings = check_tree(tree, expected, processes=processes, tell=counter.show)
    problems = [finding for finding in findings if finding.is_problem]
    for line in summarise(finding for finding in findings if not finding.is_problem):
        hand_over(f"note: {line}")
    hand_over(
        f"{tree.root}: {len(tree.frames)} frames in {len(tree.datasets)} data sets, "
        f"{len(problems) or 'no'} problem{'s' * (len(problems) != 1)}"
    )
    if problems:
        raise InputProblemsError(summarise(problems))
    return 0


def _select(arguments: argparse.Namespace) -> int:
    entries, tree = _selected(arguments)
    chosen = arguments.datasets
    if arguments.ask and chosen is None:
        from cxlsfind.datasets.selection import parse_datasets

        answer = ask(f"data sets {' '.join(tree.datasets)}: which? [all] ")
        numbers = parse_datasets(answer) if answer else frozenset(map(int, tree.datasets))
        entries = tuple(entry for entry in entries if entry.dataset in numbers)
    wanted = {False, True} - ({True} if arguments.patterns else set())
    wanted -= {False} if arguments.empties else set()
    paths = [
        entry.frame.paths.get(arguments.branch)
        or (tree.water_of(entry.frame) if arguments.branch == "water" else None)
        for entry in entries
        if entry.is_empty in wanted
    ]
    found = [path for path in paths if path is not None]
    if not found:
        raise InputError(f"{tree.root}: no image of {arguments.branch} fits what was asked for")
    for path in found:
        hand_over(os.fspath(path))
    return 0


def _counts(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.catalog import class_weight, total_by_dataset

    entries, tree = _selected(arguments)
    if not entries:
        raise InputError(f"{tree.root}: no frame fits what was asked for")
    hand_over("set  photon energy / eV  camera length / m  with crystal  without  weight")
    for dataset, (patterns, empties) in total_by_dataset(entries).items():
        own = [entry for entry in entries if entry.frame.dataset == dataset]
        energies = _span([entry.photon_energy_ev for entry in own])
        clens = _span([entry.clen_m for entry in own])
        hand_over(
            f"{dataset:3s}  {energies:>18s}  {clens:>17s}  {patterns:12d}  {empties:7d}  "
            f"{class_weight(own):6.4g}"
        )
    empties = sum(entry.is_empty for entry in entries)
    neither = sum(entry.frame_class == "neither" for entry in entries)
    hand_over(
        f"all  {'':18s}  {'':17s}  {len(entries) - empties:12d}  {empties:7d}  "
        f"{class_weight(entries):6.4g}"
    )
    if neither:
        hand_over(
            f"{neither} frames with a crystal are expected to hold fewer than 2 of its photons"
        )
    return 0


def _split(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.selection import Selection
    from cxlsfind.datasets.splits import (
        SHARED,
        split_by_selection,
        split_by_share,
        varying,
        write_split,
    )

    unknown = [name for name in arguments.by or () if name not in SHARED]
    if unknown:
        raise UsageError(f"--by {unknown[0]}: there are {', '.join(SHARED)}")
    entries, tree = _selected(arguments)
    if not entries:
        raise InputError(f"{tree.root}: no frame fits what was asked for")
    by = arguments.by or varying(entries)
    held_out = Selection(
        arguments.leave_out_datasets or frozenset(),
        arguments.leave_out_photon_energy,
        arguments.leave_out_camera_length,
        frozenset(arguments.leave_out_crystal),
        frozenset(arguments.leave_out_seed),
    )
    if held_out == Selection():
        split = split_by_share(entries, arguments.test / 100, by, arguments.seed)
    else:
        split = split_by_selection(entries, held_out, by)
    write_split(arguments.output, split)
    total = len(entries)
    hand_over(
        f"{arguments.output}: {len(split.train)} frames to train on, {len(split.test)} "
        f"({100 * len(split.test) / total:.1f} %) to test with, {len(split.unused)} unused"
    )
    hand_over(f"train and test share no {', no '.join(by)}")
    for name in sorted(set(SHARED) - set(by)):
        values = {SHARED[name](entry) for entry in entries}
        only = f", the only one: {values.pop()}" if len(values) == 1 else ""
        hand_over(f"they may share a {name}{only}; the test says nothing of others")
    return 0


def _manifest(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.manifest import write_manifest
    from cxlsfind.datasets.tree import MANIFEST_NAME, scan_tree

    root = scan_tree(arguments.tree).root
    hand_over(f"{root / MANIFEST_NAME}: {write_manifest(root)} files")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from cxlsfind.datasets.manifest import verify_manifest
    from cxlsfind.datasets.tree import scan_tree

    root = scan_tree(arguments.tree).root
    hand_over(f"{root}: {verify_manifest(root)} files are as their hashes say")
    return 0


def _selected(arguments: argparse.Namespace) -> tuple[tuple[Entry, ...], Tree]:
    from cxlsfind.datasets.catalog import read_catalog
    from cxlsfind.datasets.selection import Selection
    from cxlsfind.datasets.tree import scan_tree

    selection = Selection(
        arguments.datasets or frozenset(),
        arguments.photon_energy,
        arguments.camera_length,
        frozenset(arguments.crystal),
    )
    tree = scan_tree(arguments.tree).only(arguments.datasets)
    return selection.of(read_catalog(tree)), tree


def _span(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "overlay": _overlay,
    "labels": _labels,
    "empties": _empties,
    "attributes": _attributes,
    "check": _check,
    "select": _select,
    "counts": _counts,
    "split": _split,
    "manifest": _manifest,
    "verify": _verify,
}


if __name__ == "__main__":
    sys.exit(main())
