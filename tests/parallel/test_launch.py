"""Launchers are recognised by their environment, and lonely ranks are refused."""

from __future__ import annotations

import pytest

from cxlsfind.parallel.comm import SerialComm
from cxlsfind.parallel.launch import (
    connect,
    is_first_of_node,
    launched_rank,
    launched_ranks,
)


@pytest.mark.parametrize(
    ("environment", "ranks", "rank"),
    [
        ({}, 1, 0),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, 4, 3),
        ({"OMPI_COMM_WORLD_SIZE": "16", "OMPI_COMM_WORLD_RANK": "0"}, 16, 0),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, 2, 1),
        # A batch script itself is no step: it has the job's size but was not started in parallel.
        ({"SLURM_NTASKS": "32"}, 1, 0),
        ({"PMI_SIZE": "junk"}, 1, 0),
    ],
)
def test_launcher_environment(environment: dict[str, str], ranks: int, rank: int) -> None:
    """Size and rank come from whichever launcher there is."""
    assert launched_ranks(environment) == ranks
    assert launched_rank(environment) == rank


def test_without_launcher_no_mpi() -> None:
    """A plain start needs no MPI library."""
    assert isinstance(connect({}), SerialComm)


@pytest.mark.parametrize(
    ("environment", "speaks"),
    [
        ({}, True),
        ({"PMI_SIZE": "4", "PMI_RANK": "2", "MPI_LOCALRANKID": "0"}, True),
        ({"PMI_SIZE": "4", "PMI_RANK": "2", "MPI_LOCALRANKID": "2"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "1"}, False),
        # A task number without a step of several tasks says nothing.
        ({"SLURM_LOCALID": "1"}, True),
    ],
)
def test_one_rank_speaks_for_its_machine(environment: dict[str, str], speaks: bool) -> None:
    """What every rank notices alone is said once per machine."""
    assert is_first_of_node(environment) is speaks
