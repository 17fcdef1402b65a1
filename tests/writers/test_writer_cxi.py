"""hits.cxi links to the frames and holds every peak at its source row."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from cxlsfind.records import DataLink, SourceGroup
from cxlsfind.writers.blocks import BlockOutput
from cxlsfind.writers.collect import ResultCollector
from cxlsfind.writers.cxi import copied_headers, write_cxi
from cxlsfind.writers.handoff import hand_off_obstacle, plan_hand_off


@pytest.fixture
def write(tmp_path, sources, geometry):
    """A function that writes hits.cxi of some results and returns it, open."""
    files = []

    def run(*results, sources=sources, name="hits.cxi"):
        with ResultCollector(tmp_path) as collector:
            block = BlockOutput.from_results(results, (), frames=sources.frames, geometry=geometry)
            collector.add(block)
            collected = collector.results()
            write_cxi(tmp_path / name, sources, plan_hand_off(sources.groups), collected)
        files.append(h5py.File(tmp_path / name))
        return files[-1]

    yield run
    for file in files:
        file.close()


def test_peaks_stand_at_their_source_row_half_a_pixel_lower(write, make_result):
    file = write(
        make_result(0, (10.5, 3.25), (75.65, 0.5)),
        make_result(1),
        make_result(2, (1.5, 2.5)),
        make_result(3, (1.5, 2.5), (2.5, 2.5), (3.5, 2.5)),
    )
    first, second = file["run/0000/result"], file["run/0001/result"]
    assert first["nPeaks"][:].tolist() == [0, 1, 0, 3]
    assert second["nPeaks"][:].tolist() == [0, 0, 2]
    assert second["peakXPosRaw"].shape == (3, 2)
    np.testing.assert_allclose(second["peakXPosRaw"][2], [10.0, 75.15], atol=1e-5)
    np.testing.assert_allclose(second["peakYPosRaw"][2], [2.75, 0.0], atol=1e-6)
    assert second["peakTotalIntensity"][2].tolist() == [10.0, 20.0]
    assert second["peakPanel"][2].tolist() == [0, 1]
    assert first["peakXPosRaw"][3].tolist() == [1.0, 2.0, 3.0]
    assert first["peakXPosRaw"][1].tolist() == [1.0, 0.0, 0.0]
    assert first["peakTotalIntensity"].dtype == np.float32


def test_data_are_links_to_the_rows_as_written(write, make_result, tmp_path):
    file = write(make_result(0))
    link = file.get("run/0001/data", getlink=True)
    assert link.filename == str(tmp_path / "b.h5")
    assert link.path == "/entry/data"
    assert file["run/0001/data"][2, 0, 0] == 8000


def test_groups_share_one_mask(write, make_result):
    file = write(make_result(0))
    mask = file["run/0000/mask"]
    assert mask == file["run/0001/mask"] == file["masks/0"]
    assert mask.dtype == np.uint8
    assert np.argwhere(mask[:]).tolist() == [[2, 5]]
    assert file.attrs["mask_source"] == "by hand"


def test_names_that_are_not_utf8_are_kept(write, make_result, sources):
    name = b"/lauf_\xe4/a.h5".decode("utf-8", "surrogateescape")
    groups = tuple(
        replace(group, links=(DataLink(name, "/d", ("%", "ss", "fs")),)) for group in sources.groups
    )
    frames = replace(sources.frames, filenames=("a.h5", name))
    run = write(make_result(0), sources=replace(sources, groups=groups, frames=frames))["run/0001"]
    assert run["source_file"][2] == b"/lauf_\xe4/a.h5"
    assert run.get("data", getlink=True).filename == name


def test_shifts_are_kept_where_there_are_any(write, make_result):
    shifted = make_result(1)
    shifted = replace(shifted, header=replace(shifted.header, detector_shift_m=(1e-3, 2e-3)))
    file = write(make_result(0), shifted)
    assert file["run/0001/detector_shift_x"][0] == 1e-3
    assert file["run/0001/detector_shift_y"][:].tolist()[::2] == [2e-3, 0.0]
    assert "detector_shift_x" not in write(make_result(0), name="other.cxi")["run/0001"]


def test_frames_have_their_values_and_origin(write, make_result):
    file = write(
        make_result(0, (1.5, 2.5), (2.5, 2.5), energy=9001.5, clen=0.11, values={"/n/%/s": "lyso"}),
        make_result(3, energy=8999.5),
    )
    first, second = file["run/0000"], file["run/0001"]
    np.testing.assert_array_equal(first["photon_energy_eV"], [np.nan, np.nan, np.nan, 8999.5])
    np.testing.assert_array_equal(second["photon_energy_eV"], [np.nan, np.nan, 9001.5])
    np.testing.assert_array_equal(second["clen"], [np.nan, np.nan, 0.11])
    assert second["hit"][:].tolist() == [0, 0, 1]
    assert second["source_file"][:].tolist() == [b"", b"", b"b.h5"]
    assert first["source_event"][:].tolist() == [b"", b"", b"", b"//3"]
    assert second["header/n/+/s"][:].tolist() == [b"", b"", b"lyso"]
    assert first["header/n/+/s"][:].tolist() == [b""] * 4


def test_copied_headers_exist_in_every_group(write, make_result, tmp_path, make_block):
    result = make_result(0, values={"/entry/x": 1, "/y": 2.5})
    file = write(result)
    with ResultCollector(tmp_path) as collector:
        collector.add(make_block(result))
        names = copied_headers(collector.results())
    assert "/run/%/header/entry/x" in names
    for name in names:
        for group in ("0000", "0001"):
            assert name.replace("%", group) in file


def test_intensities_are_positive_and_finite(write, make_result):
    result = make_result(0, (1.5, 2.5), (2.5, 2.5), (3.5, 2.5), (4.5, 2.5))
    result.peaks["intensity"] = [-3.0, np.nan, 0.0, np.inf]
    values = write(result)["run/0001/result/peakTotalIntensity"][2]
    assert np.all(np.isfinite(values))
    assert np.all(values > 0.0)


def test_a_frame_listed_twice_keeps_its_last_result(write, make_result, sources):
    frames = replace(sources.frames, row=np.array([2, 2, 1, 3]))
    file = write(
        make_result(0, (1.5, 2.5)),
        make_result(1, (7.5, 2.5), (8.5, 2.5)),
        sources=replace(sources, frames=frames),
    )
    assert file["run/0001/result/nPeaks"][:].tolist() == [0, 0, 2]
    assert file["run/0001/result/peakXPosRaw"][2].tolist() == [7.0, 8.0]


def test_same_run_same_bytes(write, make_result, tmp_path):
    results = [make_result(0, (1.5, 2.5)), make_result(3, (1.5, 2.5), values={"/x": "a"})]
    write(*results, name="one.cxi")
    write(*results, name="two.cxi")
    assert (tmp_path / "one.cxi").read_bytes() == (tmp_path / "two.cxi").read_bytes()


def test_long_stacks_are_written_in_parts(write, make_result, sources, monkeypatch):
    monkeypatch.setattr("cxlsfind.writers.cxi._CHUNK_VALUES", 64)
    monkeypatch.setattr("cxlsfind.writers.cxi._WRITE_VALUES", 128)
    n_rows = 200
    groups = tuple(replace(group, n_rows=n_rows) for group in sources.groups)
    count = np.random.default_rng(3).integers(0, 4, n_rows)
    count[40:90] = 0
    rows = np.random.default_rng(4).permutation(n_rows)
    frames = replace(
        sources.frames,
        **{name: np.zeros(n_rows, np.int32) for name in ("file", "path", "group")},
        dims=rows[:, None],
        row=rows,
    )
    sources = replace(sources, groups=groups, frames=frames)
    results = [
        make_result(frame, *[(row + k + 0.5, 1.5) for k in range(count[row])])
        for frame, row in enumerate(rows)
    ]
    table = write(*results, sources=sources)["run/0000/result"]
    expected = np.where(
        np.arange(3) < count[:, None], np.arange(n_rows)[:, None] + np.arange(3), 0.0
    )
    assert table["nPeaks"][:].tolist() == count.tolist()
    np.testing.assert_array_equal(table["peakXPosRaw"], expected)


def test_single_images_have_a_list_of_peaks_each(write, make_result, sources):
    groups = tuple(
        replace(group, n_rows=1, links=(replace(group.links[0], dims=("ss", "fs")),))
        for group in sources.groups
    )
    frames = replace(sources.frames, group=np.array([1, 0, 0, 0]), row=np.zeros(4, np.int64))
    file = write(
        make_result(0, (10.5, 3.5), (20.5, 4.5)),
        make_result(1),
        sources=replace(sources, groups=groups, frames=frames),
    )
    assert file["run/0001/peaks"][:].tolist() == [[10.0, 3.0, 10.0], [20.0, 4.0, 20.0]]
    assert file["run/0000/peaks"].shape == (0, 3)
    assert "result" not in file["run/0000"]
    assert file["run/0001/photon_energy_eV"][:].tolist() == [9000.0]


def test_masks_follow_fixed_dimensions_of_the_data(write, make_result, sources):
    groups = tuple(
        replace(group, links=(replace(group.links[0], dims=("%", 2, "ss", "fs")),))
        for group in sources.groups
    )
    mask = write(make_result(0), sources=replace(sources, groups=groups))["run/0000/mask"]
    assert mask.shape == (3, 40, 100)
    assert np.argwhere(mask[2]).tolist() == [[2, 5]]


def test_obstacles_are_named(geometry, sources):
    def obstacle(*groups: SourceGroup, layout=sources.layout, geometry=geometry) -> str:
        return hand_off_obstacle(geometry, layout, groups)

    def linked(*dims: int | str) -> SourceGroup:
        return replace(group, links=(DataLink("/a.h5", "/d", dims),))

    group = sources.groups[0]
    assert obstacle(*sources.groups) == ""
    assert obstacle(group, replace(group, links=(), obstacle="stitched")) == "stitched"
    assert "different dimensions" in obstacle(group, linked("ss", "fs"))
    assert "more than one dimension" in obstacle(linked("%", "%", "ss", "fs"))
    twice = replace(sources.layout, slabs=sources.layout.slabs * 2)
    assert "overlap" in obstacle(group, layout=twice)
    left = geometry.panels[0]
    shared = replace(geometry, panels=(left, replace(left, name="other", data="/elsewhere")))
    assert "share pixel coordinates" in obstacle(group, geometry=shared)
