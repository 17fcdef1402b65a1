"""Scanning trees: ours, those of others, and folders that are none."""

from __future__ import annotations

import pytest

from cxlsfind.datasets.naming import BRANCHES, LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.errors import InputError


def test_a_simulated_tree_has_every_frame_in_all_branches(made_tree, recipe):
    tree = scan_tree(made_tree)
    assert tree.is_simulated
    assert [frame.name for frame in tree.frames] == sorted(
        f"{job.folder}/{job.name}" for job in recipe.jobs()
    )
    for frame in tree.frames:
        assert set(frame.paths) == set(BRANCHES)
        assert {path.name for path in frame.paths.values()} == {frame.key}
    assert tree.datasets == ("01", "02")
    assert (tree.extras, tree.twins, tree.missing_branches) == ((), (), ())
    assert not tree.shared_water


def test_the_folder_above_will_do(made_tree):
    assert scan_tree(made_tree.parent).root == made_tree


def test_a_tree_of_others_is_paired_by_name(foreign_tree):
    tree = scan_tree(foreign_tree)
    assert not tree.is_simulated
    assert [frame.key for frame in tree.frames[:3]] == [
        f"img_6keV_clen01_{n:05d}.h5" for n in (1, 2, 3)
    ]
    for frame in tree.frames:
        assert set(frame.paths) == {PEAKS, OVERLAY}
        assert frame.paths[OVERLAY].name == f"overlay_{frame.key}"
        assert tree.water_of(frame) == foreign_tree / "water" / frame.dataset / (
            f"water{frame.dataset}.h5"
        )
    assert tree.missing_branches == (LABELS,)
    assert [path.name for path in tree.extras] == ["README.txt"]


def test_files_that_belong_to_no_frame_are_extras(tree):
    (tree / "water" / "01" / "other.h5").write_bytes(b"")
    (tree / "water" / "notes").mkdir()
    (tree / "plots").mkdir()
    (tree / ".hidden").mkdir()
    names = [path.relative_to(tree).as_posix() for path in scan_tree(tree).extras]
    assert names == ["plots", "water/01/other.h5", "water/notes"]


def test_two_files_of_one_frame_are_told(tree):
    folder = tree / OVERLAY / "01"
    name = "01_6keV_clen01_000001.h5"
    (folder / f"overlay_{name}").write_bytes((folder / name).read_bytes())
    ((path, other),) = scan_tree(tree).twins
    assert {path.name, other.name} == {name, f"overlay_{name}"}


def test_data_sets_can_be_chosen(made_tree):
    tree = scan_tree(made_tree)
    assert tree.only(None) is tree
    assert tree.only({2}).datasets == ("02",)
    with pytest.raises(InputError, match="no data set 03; there are 01, 02"):
        tree.only({2, 3})


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_folders_without_branches_are_refused(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(InputError, match="name the folder that holds them"):
        scan_tree(tmp_path / "x")


def test_branches_without_frames_are_refused(tmp_path):
    (tmp_path / WATER / "01").mkdir(parents=True)
    with pytest.raises(InputError, match="no frame in"):
        scan_tree(tmp_path)
