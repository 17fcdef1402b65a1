"""Bad input: told before the first frame or skipped and listed, and the good frames are done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from cxlsfind.cli.main import main
from cxlsfind.sim.run import SimulatedRun

FINDER = ["--peaks=peakfinder8", "--threshold=5"]


class Job:
    """A folder with a copy of the small run, and the command on it."""

    def __init__(self, folder: Path, run: SimulatedRun, capsys: pytest.CaptureFixture[str]) -> None:
        source = run.list.parent
        shutil.copytree(source, folder, dirs_exist_ok=True)
        self.folder = folder
        self.master = folder / run.files.master.name
        self.geometry = folder / run.geometry.name
        self.output = folder / "out" / "hits.stream"
        self.output.parent.mkdir()
        self._capsys = capsys
        self.list([self.master])

    def list(self, lines: list[object]) -> None:
        """Write the list of files."""
        (self.folder / "files.lst").write_text("".join(f"{line}\n" for line in lines))

    def __call__(self, *options: str) -> tuple[int, str]:
        """Run the command; return its exit code and what it said on standard error."""
        code = main(
            [
                "-i",
                str(self.folder / "files.lst"),
                "-g",
                str(self.geometry),
                "-o",
                str(self.output),
                *FINDER,
                *options,
            ]
        )
        return code, self._capsys.readouterr().err

    def events(self) -> list[str]:
        """Return file and event of every frame in the stream."""
        names = []
        for line in self.output.read_text().splitlines():
            if line.startswith("Image filename: "):
                name = Path(line.removeprefix("Image filename: ")).name
            elif line.startswith("Event: "):
                names.append(f"{name} {line.removeprefix('Event: ')}")
        return names

    def summary(self) -> dict:
        """Return the run in numbers."""
        return json.loads(self.output.with_suffix(".json").read_text())


@pytest.fixture
def job(tmp_path: Path, small_run: SimulatedRun, capsys: pytest.CaptureFixture[str]) -> Job:
    return Job(tmp_path / "job", small_run, capsys)


GOOD = [f"sim_master.h5 data_000001//{i}" for i in range(6)] + [
    f"sim_master.h5 data_000002//{i}" for i in range(4)
]


def test_good_input(job: Job) -> None:
    """Without anything bad all frames are done and the exit code is 0."""
    code, said = job()
    assert code == 0
    assert job.events() == GOOD
    assert "10 images processed" in said
    assert job.summary()["skipped"]["list"] == []


def absent(path: Path) -> None:
    path.unlink(missing_ok=True)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no HDF5 file at all\n" * 100)


def truncated(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = [[[1] * 100] * 100]
    os.truncate(path, path.stat().st_size // 2)


def directory(path: Path) -> None:
    path.mkdir()


def foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["measurement/image"] = [[[1] * 40] * 30]


def other_shape(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = [[[1] * 40] * 30]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (absent, "does not exist"),
        (empty, "empty"),
        (text, "text"),
        (truncated, "truncated"),
        (directory, "directory"),
        (foreign, "/measurement/image"),
        (other_shape, "40 x 30"),
    ],
)
def test_one_bad_file(job: Job, spoil: Callable[[Path], None], message: str) -> None:
    """A file that cannot be used is named before the first frame; the others are done."""
    bad = job.folder / "bad.h5"
    spoil(bad)
    job.list([bad, job.master])
    code, said = job()
    assert code == 4
    told = said[: said.index("images processed")]
    assert f"{bad}" in told
    assert message in told
    assert job.events() == GOOD
    skipped = job.summary()["skipped"]
    assert [item["file"] for item in skipped["list"]] == [str(bad)]
    assert message in skipped["list"][0]["reason"]


def test_skips_can_be_allowed(job: Job) -> None:
    """--max-skipped makes a run with a few lost frames a complete one."""
    job.list([job.folder / "no.h5", job.master])
    assert job("--max-skipped=1")[0] == 0
    assert job("--max-skipped=0", "--overwrite")[0] == 4


def test_missing_data_file(job: Job) -> None:
    """A master with a missing data file loses those frames only."""
    (job.folder / "sim_data_000002.h5").unlink()
    code, said = job()
    assert code == 4
    assert "sim_data_000002.h5" in said
    assert job.events() == GOOD[:6]


def test_truncated_data_file(job: Job) -> None:
    """A data file that is cut short loses its frames only."""
    os.truncate(job.folder / "sim_data_000001.h5", 5000)
    code, said = job()
    assert code == 4
    assert "sim_data_000001.h5" in said
    assert job.events() == GOOD[6:]


def test_corrupt_chunk(job: Job) -> None:
    """A frame whose bytes were damaged is skipped when it is met."""
    path = job.folder / "sim_data_000001.h5"
    with h5py.File(path) as file:
        chunk = file["entry/data/data"].id.get_chunk_info(2)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + 12)
        file.write(b"\xff" * 64)
    code, said = job()
    assert code == 4
    assert "data_000001//2" in said
    assert job.events() == [name for name in GOOD if name != GOOD[2]]
    (skipped,) = job.summary()["skipped"]["list"]
    assert skipped["event"] == "data_000001//2"
    assert skipped["frames"] == 1


def test_unwritten_frames(job: Job) -> None:
    """Frames that were reserved but never written are no zeros: they are skipped."""
    path = job.folder / "sim_data_000002.h5"
    with h5py.File(path, "r+") as file:
        images = file["entry/data/data"][()]
        del file["entry/data/data"]
        data = file.create_dataset(
            "entry/data/data", (6, *images.shape[1:]), images.dtype, chunks=(1, *images.shape[1:])
        )
        data[:4] = images
    code, said = job()
    assert code == 4
    assert "data_000002//4" in said or "never written" in said
    assert job.events() == GOOD
    assert job.summary()["skipped"]["frames"] == 2


def test_every_chunk_corrupt(job: Job) -> None:
    """When not one frame could be read the exit code is 5, and reasons are given."""
    for name in ("sim_data_000001.h5", "sim_data_000002.h5"):
        path = job.folder / name
        with h5py.File(path) as file:
            data = file["entry/data/data"]
            offsets = [data.id.get_chunk_info(i).byte_offset for i in range(len(data))]
        with path.open("r+b") as file:
            for offset in offsets:
                file.seek(offset)
                file.write(b"\xff" * 64)
    code, said = job()
    assert code == 5
    assert "data_000001//0" in said
    assert "Traceback" not in said


def test_no_usable_file(job: Job) -> None:
    """When no file can be used nothing starts: exit code 3 with all reasons."""
    job.list([job.folder / "a.h5", job.folder / "b.h5"])
    code, said = job()
    assert code == 3
    assert "a.h5" in said
    assert "b.h5" in said
    assert not job.output.exists()


def test_all_problems_at_once(job: Job) -> None:
    """Geometry, list and output are complained about together."""
    job.geometry.write_text("# no comment in CrystFEL\n")
    (job.folder / "files.lst").unlink()
    job.output.write_text("old")
    code, said = job()
    assert code == 3
    assert f"{job.geometry}:1:" in said
    assert "files.lst" in said
    assert "--overwrite" in said
    assert job.output.read_text() == "old"


def test_geometry_one_pixel_too_large(job: Job) -> None:
    """The common slip with inclusive maxima is explained."""
    text = job.geometry.read_text()
    width, height = 1028, 1062
    text = text.replace(f"max_fs = {width - 1}", f"max_fs = {width}")
    text = text.replace(f"max_ss = {height - 1}", f"max_ss = {height}")
    job.geometry.write_text(text)
    code, said = job()
    assert code == 3
    assert "inclusive" in said
    assert f"max_fs = {width - 1}" in said


def test_wrong_data_path(job: Job) -> None:
    """A geometry that looks elsewhere is told what the file has."""
    job.geometry.write_text(job.geometry.read_text().replace("/entry/data/%", "/data/data"))
    code, said = job()
    assert code == 3
    assert "/data/data" in said
    assert "/entry/data/data_000001" in said


def test_unwritable_output(job: Job) -> None:
    """A folder that does not exist is told before the first frame."""
    job.output = job.folder / "nowhere" / "hits.stream"
    code, said = job()
    assert code == 3
    assert "no such folder" in said


def test_existing_output(job: Job) -> None:
    """Outputs of an earlier run are refused unless --overwrite is given."""
    assert job()[0] == 0
    before = job.output.read_bytes()
    code, said = job()
    assert code == 3
    assert "--overwrite" in said
    assert job.output.read_bytes() == before
    assert job("--overwrite")[0] == 0


def test_nothing_is_left_behind(job: Job) -> None:
    """Neither a refused nor a complete run leaves temporary files."""
    job()
    names = sorted(path.name for path in job.output.parent.iterdir())
    assert names == [
        "hits.cxi",
        "hits.geom",
        "hits.json",
        "hits.lst",
        "hits.stream",
        "indexable.lst",
        "nonhits.lst",
    ]


@pytest.mark.parametrize("event", ["data_000001//6", "data_000003//0", "//0", "data_000001//"])
def test_events_that_are_not_there(job: Job, event: str) -> None:
    """An event that the file does not have is skipped; listed ones keep their order."""
    job.list(
        [f"{job.master} data_000002//1", f"{job.master} {event}", f"{job.master} data_000001//5"]
    )
    code, said = job()
    assert code == 4
    assert event in said
    assert job.events() == ["sim_master.h5 data_000002//1", "sim_master.h5 data_000001//5"]


@pytest.mark.parametrize("option", [(), ("--overwrite",)])
def test_no_input_is_ever_replaced(job: Job, option: tuple[str, ...]) -> None:
    """Neither listed files nor the data files behind them, whatever they are called."""
    for name in ("sim_master.h5", "sim_data_000002.h5", "files.lst"):
        job.output = job.folder / name
        before = job.output.read_bytes()
        code, said = job(*option)
        assert code == 3
        assert name in said
        assert job.output.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"), [("no_{}.h5", "499 more"), ("a.h5 //{}x", "480 more problems")]
)
def test_a_long_list_of_wrong_lines(job: Job, line: str, message: str) -> None:
    """A wrong folder or a wrong column in a long list does not hide what else is wrong."""
    job.list([line.format(number) for number in range(500)])
    job.output.write_text("old")
    code, said = job()
    assert code == 3
    assert message in said
    assert "--overwrite" in said
    assert len(said.splitlines()) < 30


def test_no_hits(job: Job) -> None:
    """A run without hits says what there was, and where to look."""
    code, said = job("--threshold=50000")
    assert code == 0
    assert "no hits. In 10 frames there are 0 peaks" in said
    assert "--threshold=50000" in said
    assert "% of the pixels are usable" in said


def test_closed_standard_input(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list on a standard input that is not there, as some schedulers start jobs."""
    monkeypatch.setattr("sys.stdin", None)
    code, said = job("-i", "-")
    assert code == 3
    assert "standard input: is closed" in said


def test_reasons_name_the_frame_once(job: Job) -> None:
    """File and event of a skipped frame have their own place in the summary."""
    path = job.folder / "sim_data_000001.h5"
    with h5py.File(path) as file:
        chunk = file["entry/data/data"].id.get_chunk_info(2)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * 64)
    _, said = job()
    (line,) = [line for line in said.splitlines() if line.startswith("skipped:")]
    assert line.count("data_000001//2") == 1
    assert "data_000001//2" not in job.summary()["skipped"]["list"][0]["reason"]
