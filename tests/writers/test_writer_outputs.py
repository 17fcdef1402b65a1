"""A run's outputs are complete, agree with each other and name the next command."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from cxlsfind.errors import CxlsfindError, InputError, NothingProcessedError
from cxlsfind.geometry.crystfel import read_geometry
from cxlsfind.records import Skipped
from cxlsfind.writers.outputs import OutputNames, OutputSet

SET = ["hits.cxi", "hits.geom", "hits.json", "hits.lst", "hits.stream", "indexable.lst"]
RUN = {"seconds": 1.5}


@pytest.fixture
def blocks(make_block, make_result):
    """Frame 2 was skipped, frames 0 (indexable) and 3 are hits."""
    many = [(k + 0.5, 2.5) for k in range(5)]
    skipped = Skipped("a.h5", "//1", 1, "torn")
    return [
        make_block(make_result(0, *many), make_result(1, (1.5, 2.5))),
        replace(make_block(make_result(3, (1.5, 2.5), (3.5, 2.5))), skipped=(skipped,)),
    ]


def write_all(output, plan, blocks, *, run=RUN, overwrite=False):
    with OutputSet(output, overwrite=overwrite) as outputs:
        outputs.check()
        written = outputs.write(plan, blocks)
        outputs.commit(written, run)
    return written


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".h5")


def test_the_whole_set_is_written(tmp_path, plan, blocks):
    write_all(tmp_path / "hits.stream", plan, blocks)
    assert names(tmp_path) == sorted([*SET, "nonhits.lst"])
    stream = (tmp_path / "hits.stream").read_text()
    assert [line for line in stream.splitlines() if line.startswith(("Image s", "Event"))] == [
        "Event: //2",
        "Image serial number: 1",
        "Event: //0",
        "Image serial number: 2",
        "Event: //3",
        "Image serial number: 4",
    ]
    assert stream.index("End geometry") < stream.index("Begin chunk")
    assert (tmp_path / "hits.lst").read_text() == "hits.cxi 0001//2\nhits.cxi 0000//3\n"
    assert (tmp_path / "nonhits.lst").read_text() == "hits.cxi 0001//0\n"
    assert (tmp_path / "indexable.lst").read_text() == "hits.cxi 0001//2\n"


def test_table_and_stream_agree(tmp_path, plan, blocks):
    write_all(tmp_path / "hits.stream", plan, blocks)
    geometry = read_geometry(tmp_path / "hits.geom")
    lists = (tmp_path / "hits.lst").read_text() + (tmp_path / "nonhits.lst").read_text()
    for line in lists.splitlines():
        name, event = line.split(" ")
        group, row = event.split("//")
        with h5py.File(tmp_path / name) as file:
            table = file[geometry.peak_list.replace("%", group)]
            count = int(table["nPeaks"][int(row)])
            found = [
                (x + 0.5, y + 0.5)
                for x, y in zip(
                    table["peakXPosRaw"][int(row), :count],
                    table["peakYPosRaw"][int(row), :count],
                    strict=True,
                )
            ]
            source = file[f"run/{group}/source_file"][int(row)].decode()
            own = file[f"run/{group}/source_event"][int(row)].decode()
        assert found == rows_of(tmp_path / "hits.stream", source, own)


def rows_of(stream: Path, name: str, event: str) -> list[tuple[float, float]]:
    for chunk in stream.read_text().split("----- Begin chunk -----\n")[1:]:
        if chunk.startswith(f"Image filename: {name}\nEvent: {event}\n"):
            table = chunk.split("Intensity  Panel\n")[1].split("End of peak list")[0]
            return [tuple(map(float, row.split()[:2])) for row in table.splitlines()]
    raise AssertionError(f"{name} {event} is not in the stream")


def test_same_run_same_bytes_but_for_the_object_run(tmp_path, plan, blocks):
    kept = []
    for seconds in (1.0, 2.0):
        write_all(tmp_path / "hits.stream", plan, blocks, run={"seconds": seconds}, overwrite=True)
        summary = json.loads((tmp_path / "hits.json").read_text())
        assert summary.pop("run")["seconds"] == seconds
        files = [(tmp_path / name).read_bytes() for name in SET if name != "hits.json"]
        kept.append([json.dumps(summary), *files])
    assert kept[0] == kept[1]


def test_summary_counts(tmp_path, plan, blocks):
    whole = Skipped("lost.h5", None, None, "missing")
    blocks[0].mean_photons[1] = np.nan
    written = write_all(tmp_path / "hits.stream", replace(plan, skipped=(whole,)), blocks)
    summary = json.loads((tmp_path / "hits.json").read_text(), parse_constant=pytest.fail)
    assert {key: summary[key] for key in ("frames", "processed", "hits", "indexable", "peaks")} == {
        "frames": 4,
        "processed": 3,
        "hits": 2,
        "indexable": 1,
        "peaks": 8,
    }
    assert summary["peaks_in_hits"] == 7
    assert summary["hit_rate"] == pytest.approx(2 / 3)
    assert summary["mean_photons_per_pixel"]["mean"] is None
    assert summary["photon_energy_eV"] == {"mean": 9000.0, "min": 9000.0, "max": 9000.0}
    assert summary["skipped"]["frames"] == 1
    assert summary["skipped"]["of_unknown_length"] == 1
    assert [item["reason"] for item in summary["skipped"]["list"]] == ["missing", "torn"]
    assert [item.reason for item in written.skipped] == ["missing", "torn"]
    assert summary["peak_table"] == {"written": True, "obstacle": None}
    assert summary["run"]["next_command"] == written.next_command


def test_next_command_is_complete(tmp_path, plan, blocks, monkeypatch):
    folder = tmp_path / "mein Lauf"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    command = write_all(Path("mein Lauf/hits.stream"), plan, blocks).next_command
    first, program, *words = shlex.split(command)
    assert Path(first.removeprefix("HDF5_PLUGIN_PATH=")).is_dir()
    assert program == "indexamajig"
    assert words[words.index("-i") + 1] == str(folder / "hits.lst")
    assert words[words.index("-g") + 1] == str(folder / "hits.geom")
    assert words[words.index("-o") + 1] == str(folder / "indexed.stream")
    for word in (f"--prefix={folder}/", "--peaks=cxi", "--no-revalidate"):
        assert word in words
    assert "--copy-header=/run/%/source_file" in words
    assert "\n" not in command


def test_without_a_table_the_original_files_are_named(tmp_path, plan, blocks, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hits.cxi").write_text("of an earlier run")
    (tmp_path / "hits.json").write_text('{"program": "cxlsfind"}')
    groups = tuple(replace(group, obstacle="stitched") for group in plan.sources.groups)
    plan = replace(plan, sources=replace(plan.sources, groups=groups), copy_header=("/x",))
    written = write_all(tmp_path / "hits.stream", plan, blocks, overwrite=True)
    assert written.table_obstacle == "stitched"
    assert "hits.cxi" not in names(tmp_path)
    assert (tmp_path / "hits.lst").read_text() == (f"{tmp_path}/b.h5 //2\n{tmp_path}/a.h5 //3\n")
    words = shlex.split(written.next_command)
    assert "--peaks=peakfinder8" in words
    assert "--threshold=5" in words
    assert "--copy-header=/x" in words
    assert not any(word.startswith("--prefix") for word in words)
    assert read_geometry(tmp_path / "hits.geom").panels[0].data == "/entry/data"
    summary = json.loads((tmp_path / "hits.json").read_text())
    assert summary["peak_table"] == {"written": False, "obstacle": "stitched"}


def test_a_run_without_frames_writes_nothing(tmp_path, plan, make_block):
    empty = replace(make_block(), skipped=(Skipped("a.h5", None, 4, "torn"),))
    with pytest.raises(NothingProcessedError, match=r"a\.h5: torn") as caught:
        write_all(tmp_path / "hits.stream", plan, [empty])
    assert caught.value.exit_code == 5
    assert names(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, plan, blocks, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cxlsfind.writers.outputs.write_cxi", fail)
    with pytest.raises(CxlsfindError, match="No space left on device"):
        write_all(tmp_path / "hits.stream", plan, blocks)
    assert names(tmp_path) == []


def test_an_error_of_the_blocks_is_passed_on_unchanged(tmp_path, plan, blocks):
    def broken():
        yield blocks[0]
        raise OSError("shard is gone")

    with pytest.raises(OSError, match=r"^shard is gone$"):
        write_all(tmp_path / "hits.stream", plan, broken())
    assert names(tmp_path) == []


def test_a_second_run_is_refused(tmp_path, plan, blocks):
    write_all(tmp_path / "hits.stream", plan, blocks)
    with pytest.raises(InputError, match=r"hits\.stream.*hits\.json.*--overwrite"):
        write_all(tmp_path / "hits.stream", plan, blocks)


@pytest.mark.parametrize(
    ("output", "hits", "nonhits"),
    [
        ("hits.stream", "hits.lst", "nonhits.lst"),
        ("a.b.stream", "a.b.lst", "a.b-nonhits.lst"),
        ("odd", "odd.lst", "odd-nonhits.lst"),
    ],
)
def test_names_of_the_set(output, hits, nonhits):
    chosen = OutputNames.of(Path("x") / output)
    assert (chosen.stream, chosen.hits, chosen.nonhits) == (output, hits, nonhits)
    assert len(set(chosen.all())) == 7


@pytest.mark.parametrize(
    ("name", "content"),
    [("hits.geom", b"; mine"), ("hits.cxi", b"\x89HDF\r\n\x1a\n"), ("hits.lst", b"run1.h5\n")],
)
def test_files_of_others_are_not_replaced(tmp_path, name, content):
    """--overwrite is for outputs of an earlier run, not for what happens to have such a name."""
    (tmp_path / name).write_bytes(content)
    outputs = OutputSet(tmp_path / "hits.stream", overwrite=True)
    with pytest.raises(InputError, match=f"{name}: not from an earlier run"):
        outputs.check()
    (tmp_path / "hits.json").write_text('{"program": "cxlsfind"}')
    outputs.check()
    assert (tmp_path / name).read_bytes() == content


def test_data_given_as_the_stream_is_not_replaced(tmp_path):
    (tmp_path / "hits.stream").write_text("CrystFEL stream format 2.3\n")
    outputs = OutputSet(tmp_path / "hits.stream", overwrite=True)
    outputs.check()
    (tmp_path / "hits.stream").write_bytes(b"\x89HDF\r\n\x1a\nraw frames")
    with pytest.raises(InputError, match=r"hits\.stream: not from an earlier run"):
        outputs.check()
