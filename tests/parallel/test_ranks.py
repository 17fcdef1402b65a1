"""Ranks under mpirun: the same outputs as one rank, and one failure ends them all."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxlsfind.parallel.shards import ShardFolder
from cxlsfind.sim.detector import DETECTORS
from cxlsfind.sim.frames import FrameSettings
from cxlsfind.sim.run import SimulatedRun, simulate_run

MPIRUN = shutil.which(
    "mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
ROOT = Path(__file__).resolve().parents[2]
CODE = "import sys; from cxlsfind.cli.main import main; sys.exit(main())"

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(MPIRUN is None, reason="no mpirun"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimulatedRun:
    """Return a run of 300 frames in three files, so that there are several blocks."""
    settings = FrameSettings(DETECTORS["Eiger500K"], spots=20, seed=11)
    folder = tmp_path_factory.mktemp("ranks")
    return simulate_run(folder, settings, 300, frames_per_file=130)


def command(run: SimulatedRun, ranks: int, *options: str, code: str = CODE) -> list[str]:
    start = [str(MPIRUN), "-n", str(ranks)] if ranks else []
    return [
        *start, sys.executable, "-c", code,
        "-i", str(run.list), "-g", str(run.geometry), "-o", "hits.stream", *options,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HYDRA_LAUNCHER": "fork"}


def start(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the files of a run; of the summary everything but the object ``run``."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    summary = json.loads(files.pop("hits.json"))
    del summary["run"]
    files["summary"] = json.dumps(summary).encode()
    return files


@pytest.fixture(scope="module")
def models(make_models: Callable[..., Path]) -> tuple[str, ...]:
    """Return the option for models that see artefacts in some frames and spots."""
    return (
        "--models",
        str(make_models(peak_bias=9.2, peak_noise=12.0, hit_bias=7.0)),
        "--device=cpu",
    )


def test_models_give_the_same_bytes_on_any_number_of_ranks(
    run: SimulatedRun, tmp_path: Path, models: tuple[str, ...]
) -> None:
    """1, 2 and 3 ranks, and threads: what models say does not depend on who asks them."""
    runs = {}
    for name, ranks, options in (("none", 0, ()), ("2", 2, ()), ("3", 3, ("-j2",))):
        ended = start(command(run, ranks, *models, *options), tmp_path / name)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.count("models: peak.pt (") == 1
        runs[name] = outputs(tmp_path / name)
    assert runs["none"] == runs["2"] == runs["3"]
    numbers = json.loads(runs["none"]["summary"])["models"]
    assert numbers["peaks_removed"] > 0
    assert b"cxlsfind/peaks_removed = 0\n" in runs["none"]["hits.stream"]


@pytest.mark.parametrize("finder", [(), ("--peaks=peakfinder8", "--threshold=5")])
def test_any_number_of_ranks_gives_the_same_bytes(
    run: SimulatedRun, tmp_path: Path, finder: tuple[str, ...]
) -> None:
    """No mpirun, 1, 2, 3 and 5 ranks, and 2 threads per rank: the same files, byte for byte."""
    runs = {}
    plain = [("none", 0), ("1", 1), ("2", 2), ("3", 3), ("5", 5)]
    for name, ranks, options in [*((*case, ()) for case in plain), ("2x2", 2, ("-j2",))]:
        ended = start(command(run, ranks, *finder, *options), tmp_path / name)
        assert ended.returncode == 0, ended.stderr
        assert "300 images processed" in ended.stderr
        assert ended.stdout.splitlines()[-1].startswith("HDF5_PLUGIN_PATH=")
        runs[name] = outputs(tmp_path / name)
    for name, files in runs.items():
        # The only absolute path is that of the data, which is the same for all.
        assert files.keys() == runs["none"].keys()
        for file, content in files.items():
            assert content == runs["none"][file], f"{file} of run {name} differs"


def test_a_crash_on_one_rank_ends_all(run: SimulatedRun, tmp_path: Path) -> None:
    """An unexpected exception stops every rank at once and names rank, file and event."""
    code = (
        "import sys\n"
        "from cxlsfind.cli.main import main\n"
        "from cxlsfind.pipeline import processor\n"
        "original = processor.FrameLoader.load\n"
        "def read(loader, frame):\n"
        "    if frame == 200: raise ZeroDivisionError('planted')\n"
        "    return original(loader, frame)\n"
        "processor.FrameLoader.load = read\n"
        "sys.exit(main())\n"
    )
    began = time.monotonic()
    ended = start(command(run, 3, code=code), tmp_path / "crash")
    assert ended.returncode not in (0, 2, 3, 4, 5)
    assert "data_000002//70" in ended.stderr
    assert "rank " in ended.stderr
    assert "ZeroDivisionError: planted" in ended.stderr
    assert time.monotonic() - began < 60
    assert not list((tmp_path / "crash").glob("hits.*"))


def test_refused_input_ends_all_with_its_code(run: SimulatedRun, tmp_path: Path) -> None:
    """What rank 0 refuses is said once, and every rank ends with the code for it."""
    words = command(run, 2)
    words[words.index("-g") + 1] = "no-such.geom"
    ended = start(words, tmp_path / "refused")
    assert ended.returncode == 3
    assert ended.stderr.count("no-such.geom") == 1


def test_lonely_ranks_are_refused(run: SimulatedRun, tmp_path: Path) -> None:
    """Ranks that a launcher of another MPI family started are told so instead of writing."""
    (tmp_path / "alone").mkdir()
    ended = subprocess.run(
        command(run, 0),
        cwd=tmp_path / "alone",
        env={**environment(), "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert "4 ranks were started, but each sees 1" in ended.stderr
    assert not list((tmp_path / "alone").iterdir())


def test_serial_run_needs_no_mpi_library(run: SimulatedRun, tmp_path: Path) -> None:
    """Without mpirun the job runs where mpi4py cannot even be imported."""
    code = "import sys; sys.modules['mpi4py'] = None\n" + CODE
    ended = start(command(run, 0, code=code), tmp_path / "serial")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_on_request(run: SimulatedRun, tmp_path: Path, number: int) -> None:
    """SIGTERM and Ctrl-C end a run with 75, and nothing is left behind."""
    code = (
        "import sys, os, signal\n"
        "from cxlsfind.cli.main import main\n"
        "from cxlsfind.pipeline import processor\n"
        "original = processor.FrameLoader.load\n"
        "def read(loader, frame):\n"
        f"    if frame == 70: os.kill(os.getpid(), {int(number)})\n"
        "    return original(loader, frame)\n"
        "processor.FrameLoader.load = read\n"
        "sys.exit(main())\n"
    )
    ended = start(command(run, 0, code=code), tmp_path / "stopped")
    assert ended.returncode == 75, ended.stderr
    assert "stopped on request" in ended.stderr
    assert not list((tmp_path / "stopped").iterdir())


def patched(*lines: str) -> str:
    """Return a program that changes the job before it runs it."""
    head = ("import os, resource, signal, sys", "from cxlsfind.cli.main import main")
    return "\n".join([*head, *lines, "sys.exit(main())"]) + "\n"


def test_every_rank_is_asked_to_stop(run: SimulatedRun, tmp_path: Path) -> None:
    """mpirun hands a signal to all ranks: one message, one code, nothing left."""
    code = patched(
        "from cxlsfind.pipeline import processor",
        "original = processor.Processor.process",
        "def process(self, block):",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    return original(self, block)",
        "processor.Processor.process = process",
    )
    ended = start(command(run, 3, code=code), tmp_path / "stopped")
    assert ended.returncode == 75, ended.stderr
    assert ended.stderr.count("stopped on request after") == 1
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "stopped").iterdir())


def test_stop_before_the_first_block(run: SimulatedRun, tmp_path: Path) -> None:
    """Neither finding the frames nor compiling has to end first."""
    for place in ("plan.make_blocks", "processor.Processor.warm_up"):
        code = patched(
            "from cxlsfind.pipeline import plan, processor",
            "def stop(*_): os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
            f"{place} = stop",
        )
        ended = start(command(run, 2, code=code), tmp_path / place)
        assert ended.returncode == 75, ended.stderr
        assert ended.stderr.count("stopped") == 1
        assert not list((tmp_path / place).iterdir())


@pytest.mark.parametrize(("place", "expected"), [("before", 75), ("after", 0)])
def test_stop_while_outputs_are_written(
    run: SimulatedRun, tmp_path: Path, place: str, expected: int
) -> None:
    """All outputs or none: after the last block a request comes too late."""
    code = patched(
        "from cxlsfind.parallel import runner",
        "original = runner.merge",
        "def merge(*arguments):",
        "    blocks = list(original(*arguments))",
        "    yield from blocks[:2]",
        f"    if '{place}' == 'before': os.kill(os.getpid(), signal.SIGTERM)",
        "    yield from blocks[2:]",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "    os.kill(os.getpid(), signal.SIGTERM)",
        "runner.merge = merge",
    )
    ended = start(command(run, 2, code=code), tmp_path / place)
    assert ended.returncode == expected, ended.stderr
    assert len(list((tmp_path / place).iterdir())) == (7 if expected == 0 else 0)


def test_a_full_disk_is_told_once(run: SimulatedRun, tmp_path: Path) -> None:
    """No room for the results: said in plain words by one rank, and all of them end."""
    code = patched(
        "from cxlsfind.pipeline import processor",
        "original = processor.Processor.process",
        "def process(self, block):",
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))",
        "    return original(self, block)",
        "processor.Processor.process = process",
    )
    ended = start(command(run, 2, code=code), tmp_path / "full")
    assert ended.returncode == 1
    assert ended.stderr.count("cannot be kept here") == 1
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "full").iterdir())


def test_a_killed_run_is_no_obstacle(run: SimulatedRun, tmp_path: Path) -> None:
    """A rank that is killed ends the run; the next one cleans up after it."""
    code = patched(
        "from cxlsfind.pipeline import processor",
        "def process(*_): os.kill(os.getpid(), signal.SIGKILL)",
        "processor.Processor.process = process",
    )
    folder = tmp_path / "killed"
    assert start(command(run, 2, code=code), folder).returncode not in (0, 2, 3, 4, 5, 75)
    (folder / ".hits.cxi.part-0123abcd").write_text("half")
    assert (folder / ".hits.stream.shards").is_dir()
    ended = start(command(run, 2), folder)
    assert ended.returncode == 0, ended.stderr
    assert len(list(folder.iterdir())) == 7


def test_two_runs_of_the_same_outputs(run: SimulatedRun, tmp_path: Path) -> None:
    """The second is refused, also with --overwrite, and the first is not disturbed."""
    folder = tmp_path / "twice"
    folder.mkdir()
    with ShardFolder(folder / ".hits.stream.shards"):
        ended = start(command(run, 2, "--overwrite"), folder)
        assert ended.returncode == 3
        assert ended.stderr.count("another run is writing these outputs") == 1
        assert [path.name for path in folder.iterdir()] == [".hits.stream.shards"]


def test_usage_errors_are_said_once(run: SimulatedRun, tmp_path: Path) -> None:
    """Every rank reads the command line; one speaks."""
    ended = start(command(run, 3, "--min-snr=high"), tmp_path / "usage")
    assert ended.returncode == 2
    assert ended.stderr.count("'high' is not a number") == 1
    assert len(ended.stderr.splitlines()) == 2


def test_nobody_listens(run: SimulatedRun, tmp_path: Path) -> None:
    """A run whose words go nowhere is done all the same."""
    (tmp_path / "deaf").mkdir()
    words = shlex.join(command(run, 0))
    for redirection in (">&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true; exit ${PIPESTATUS[0]}"):
        ended = subprocess.run(
            ["bash", "-c", f"{words} --overwrite {redirection}"],
            cwd=tmp_path / "deaf",
            env=environment(),
            check=False,
        )
        assert ended.returncode == 0, redirection
        assert len(list((tmp_path / "deaf").iterdir())) == 7
