"""``cxlsfind-dataset make`` and ``empties``: simulate frames on all processes and ranks."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from cxlsfind.cli.dataset_progress import FrameCounter
from cxlsfind.cli.dataset_talk import complain, confirm, usable_cores
from cxlsfind.datasets.conditions import condition_grid
from cxlsfind.datasets.free_settings import parse_settings
from cxlsfind.datasets.making import TreePlan, begin_tree, extend_tree, make_frame
from cxlsfind.datasets.manifest import write_manifest
from cxlsfind.datasets.recipe import Recipe, count_empties, read_recipe
from cxlsfind.datasets.simulation import PatternSimulation
from cxlsfind.datasets.tree import RECIPE_NAME, Tree
from cxlsfind.datasets.workers import run_jobs
from cxlsfind.errors import CxlsfindError
from cxlsfind.parallel.comm import Comm, SerialComm
from cxlsfind.parallel.launch import LaunchError, connect
from cxlsfind.parallel.speech import hand_over, say

_POLL_S = 0.01


def make(arguments: argparse.Namespace) -> int:
    """Simulate a tree on the ranks that were started; return the exit code."""
    try:
        comm = connect()
    except LaunchError as error:
        if error.is_first:
            complain(error)
        return error.exit_code

    def plan() -> TreePlan:
        simulation = PatternSimulation(_recipe(arguments))
        total = sum(1 for _ in simulation.recipe.jobs())
        if arguments.ask:
            confirm(f"{arguments.output}: simulate {total} frames: go on?")
        return begin_tree(arguments.output, simulation)

    return _on_all_ranks(comm, plan, arguments.processes)


def add_empties(arguments: argparse.Namespace, tree: Tree) -> int:
    """Add frames without a crystal to a tree that was simulated; return the exit code."""
    recipe = read_recipe(tree.root / RECIPE_NAME)
    wanted = count_empties(recipe.patterns, arguments.percent)
    simulation = PatternSimulation(replace(recipe, empties=wanted))
    if arguments.ask:
        more = (wanted - recipe.empties) * len(recipe.conditions)
        confirm(f"{tree.root}: simulate {more} frames without a crystal: go on?")
    plan = lambda: extend_tree(tree.root, simulation)  # noqa: E731
    return _on_all_ranks(SerialComm(), plan, arguments.processes)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    conditions = condition_grid(
        arguments.photon_energy, arguments.camera_length, arguments.crystal, arguments.photons
    )
    empties = count_empties(arguments.patterns, arguments.empties)
    return Recipe(
        arguments.seed,
        arguments.patterns,
        empties,
        conditions,
        arguments.detector,
        parse_settings(arguments.set),
    )


def _on_all_ranks(comm: Comm, plan: Callable[[], TreePlan], processes: int | None) -> int:
    """Make frames on all ranks; ``plan`` is called on the first alone."""
    try:
        return _make_all(comm, plan, processes)
    except BaseException as error:
        # Whatever it is, the other ranks must not hang.
        if comm.size > 1 and isinstance(error, CxlsfindError):
            complain(error)
            comm.abort(error.exit_code)
        elif comm.size > 1:
            say(f"cxlsfind-dataset: rank {comm.rank}: internal error: {error!r}")
            comm.abort(1)
        raise


def _make_all(comm: Comm, plan: Callable[[], TreePlan], processes: int | None) -> int:
    outcome: TreePlan | CxlsfindError | None = None
    if comm.rank == 0:
        try:
            outcome = plan()
        except CxlsfindError as error:
            complain(error)
            outcome = error
    outcome = comm.share(outcome)
    if not isinstance(outcome, TreePlan):
        return outcome.exit_code if outcome is not None else 1
    _make_frames(comm, outcome, processes)
    if comm.rank == 0:
        _finish(outcome)
    comm.share(None)
    return 0


def _make_frames(comm: Comm, plan: TreePlan, processes: int | None) -> None:
    """Make this rank's frames; on the first rank, wait for the others'."""
    # A launcher was told how many processes there shall be.
    alone = processes or (usable_cores() if comm.size == 1 else 1)
    mine = plan.tasks()[comm.rank :: comm.size]
    total, done = len(plan.jobs), 0
    with (
        FrameCounter("simulated", total, is_shown=comm.rank == 0) as counter,
        closing(run_jobs(make_frame, mine, alone)) as results,
    ):
        for _ in results:
            comm.report(1)
            if comm.rank == 0:
                done += sum(comm.reports())
                counter.show(done)
        while comm.rank == 0 and done < total:
            time.sleep(_POLL_S)
            done += sum(comm.reports())
            counter.show(done)


def _finish(plan: TreePlan) -> None:
    recipe = plan.simulation.recipe
    files = write_manifest(plan.root)
    hand_over(
        f"{plan.root}: {len(recipe.conditions)} data sets of {recipe.patterns} frames with and "
        f"{recipe.empties} without a crystal; {len(plan.jobs)} made now; hashes of {files} files"
    )
    hand_over(f"next: cxlsfind-dataset check {shlex.quote(str(plan.root))}")
