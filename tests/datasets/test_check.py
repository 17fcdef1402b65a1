"""Checks: what is right passes, and everything wrong is named with its remedy."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from cxlsfind.datasets.additions import add_label, do_additions, plan_labels
from cxlsfind.datasets.check import Expectation, check_tree
from cxlsfind.datasets.findings import Finding, summarise
from cxlsfind.datasets.images import add_attributes, read_attributes, read_image, write_image
from cxlsfind.datasets.naming import BRANCHES, LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.tree import scan_tree

FRAME = "02_8keV_clen01_000002.h5"
EMPTY = "empty_01_6keV_clen01_000001.h5"


def findings_of(root, expected=None, processes=1):
    done = []
    findings = check_tree(
        scan_tree(root), expected or Expectation(), processes=processes, tell=done.append
    )
    assert done == list(range(1, len(scan_tree(root).frames) + 1))
    return findings


def problems_of(root, **options):
    """Return problems as {file inside the tree: text}."""
    problems = [finding for finding in findings_of(root, **options) if finding.is_problem]
    named = {finding.path.relative_to(root).as_posix(): finding.text for finding in problems}
    assert len(named) == len(problems)
    return named


def notes_of(root):
    return {
        f.path.relative_to(root).as_posix(): f.text for f in findings_of(root) if not f.is_problem
    }


def delete_attribute(path, name):
    with h5py.File(path, "r+") as file:
        del file.attrs[name]


def rewrite(path, change):
    image = read_image(path)
    known = read_attributes(path)
    attributes = {"clen": known.clen_m, "photon_energy": known.photon_energy_ev, "peak": known.peak}
    write_image(path, change(image), {**attributes, **known.others})


@pytest.mark.parametrize("processes", [1, 2])
def test_a_simulated_tree_has_no_problems(made_tree, processes):
    assert findings_of(made_tree, Expectation(3, 2), processes) == []


def test_a_missing_attribute(tree):
    delete_attribute(tree / LABELS / "02" / FRAME, "clen")
    assert problems_of(tree) == {
        f"labels/02/{FRAME}": "no attribute 'clen': see 'cxlsfind-dataset attributes'"
    }


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"clen": 0.2}, "'clen' is 0.2, expected 0.1"),
        ({"clen": "far"}, "'clen' is 'far', expected a number of metres"),
        ({"photon_energy": 6000}, "'photon_energy' is 6000, expected 8000"),
        ({"photon_energy": 8}, "'photon_energy' is 8, expected a number of eV"),
        ({"peak": False}, "'peak' is False, expected True"),
    ],
)
def test_a_wrong_attribute(tree, attributes, text):
    add_attributes(tree / OVERLAY / "02" / FRAME, attributes)
    ((path, found),) = problems_of(tree).items()
    assert path == f"{OVERLAY}/02/{FRAME}"
    assert text in found


def test_a_corrupted_a_cut_and_a_foreign_file(tree):
    cut = tree / PEAKS / "01" / EMPTY
    cut.write_bytes(cut.read_bytes()[:-1000])
    (tree / WATER / "01" / EMPTY).write_text("not HDF5")
    corrupted = tree / OVERLAY / "02" / FRAME
    with h5py.File(corrupted) as file:
        offset = file["entry/data/data"].id.get_chunk_info(0).byte_offset
    content = bytearray(corrupted.read_bytes())
    content[offset + 12 : offset + 300] = b"\xff" * 288
    corrupted.write_bytes(content)
    problems = problems_of(tree)
    assert "cut short" in problems[f"peaks/01/{EMPTY}"]
    assert "not an HDF5 file" in problems[f"water/01/{EMPTY}"]
    assert "damaged" in problems[f"{OVERLAY}/02/{FRAME}"]
    assert len(problems) == 3
    assert all("make or copy it again" in text for text in problems.values())


def test_a_frame_that_lacks_a_branch(tree):
    (tree / LABELS / "02" / FRAME).unlink()
    ((path, text),) = problems_of(tree).items()
    assert path == f"labels/02/{FRAME}"
    assert text.startswith(f"missing, although {OVERLAY}/02/{FRAME} is there: run")


def test_a_frame_that_is_missing_everywhere(tree):
    for branch in BRANCHES:
        (tree / branch / "02" / FRAME).unlink()
    problems = problems_of(tree)
    assert problems["*/02"].startswith("4 frames, expected 5 as tree.json says")
    assert problems[f"*/02/{FRAME}"].startswith("missing in all branches")
    assert len(problems) == 2


def test_counts_that_were_asked_for(made_tree):
    problems = problems_of(made_tree, expected=Expectation(100, 2))
    assert problems == {
        f"*/{name}": "3 frames with a crystal, expected 100: add or remove frames"
        for name in ("01", "02")
    }


def test_a_frame_too_many(tree):
    for branch in BRANCHES:
        folder = tree / branch / "02"
        (folder / "02_8keV_clen01_000009.h5").write_bytes((folder / FRAME).read_bytes())
    problems = problems_of(tree)
    assert "6 frames, expected 5" in problems["*/02"]
    assert (
        "none of the frames that were simulated"
        in problems[f"{OVERLAY}/02/02_8keV_clen01_000009.h5"]
    )


def test_branches_that_disagree(tree):
    def one_more(image):
        image = image.copy()
        image[5, 7] += 1
        return image

    rewrite(tree / OVERLAY / "02" / FRAME, one_more)
    rewrite(tree / LABELS / "01" / EMPTY, one_more)
    problems = problems_of(tree)
    assert "1 pixels differ from peaks plus water" in problems[f"{OVERLAY}/02/{FRAME}"]
    assert "not all zero" in problems[f"{LABELS}/01/{EMPTY}"]


def test_labels_that_do_not_fit_the_truth(tree):
    path = tree / LABELS / "02" / FRAME
    rewrite(path, np.zeros_like)
    assert "does not fit the expected photons" in problems_of(tree)[f"labels/02/{FRAME}"]


@pytest.mark.parametrize(
    ("branch", "change", "text"),
    [
        (PEAKS, lambda image: image[:-1], "pixels, the frame's others"),
        (WATER, lambda image: np.full(image.shape, np.nan, np.float32), "no numbers"),
        (PEAKS, lambda image: image.astype(np.int32) - 1, "holds -1, expected zero or more"),
        (LABELS, lambda image: image + 2, "other values than 0 and 1"),
    ],
)
def test_images_that_make_no_sense(tree, branch, change, text):
    rewrite(tree / branch / "02" / FRAME, change)
    assert any(text in problem for problem in problems_of(tree).values())


def test_a_name_that_contradicts_its_folder(tree):
    (tree / "tree.json").unlink()
    for branch in BRANCHES:
        (tree / branch / "02" / FRAME).rename(tree / branch / "01" / FRAME)
    problems = problems_of(tree)
    assert "the name says data set 02, but the folder is 01" in problems[f"{OVERLAY}/01/{FRAME}"]


def test_a_frame_unlike_its_data_set(tree):
    (tree / "tree.json").unlink()
    for branch in BRANCHES:
        add_attributes(tree / branch / "02" / FRAME, {"clen": 0.3})
    ((_, text),) = problems_of(tree).items()
    assert "attribute 'clen' is 0.3, but 0.1 in 4 other frames" in text


def test_trees_of_others_are_accepted_with_remarks(foreign_tree):
    assert problems_of(foreign_tree) == {}
    notes = notes_of(foreign_tree)
    assert notes["labels"].startswith("there is no such branch; 'cxlsfind-dataset labels' makes it")
    assert notes["peaks/01/README.txt"] == "belongs to no frame and is left alone"
    assert "'camera length' is read as 'clen'" in notes["peaks/01/img_6keV_clen01_00001.h5"]
    assert "not of the form" in notes[f"{OVERLAY}/02/overlay_img_7keV_clen01_00003.h5"]
    assert "one water image for all of data set 02" in notes["water/02/water02.h5"]


def test_thresholded_labels_are_remarked_on(foreign_tree):
    jobs = plan_labels(scan_tree(foreign_tree), 1.0, overwrite=False)
    do_additions(add_label, jobs, processes=1, tell=lambda done: None)
    assert problems_of(foreign_tree) == {}
    note = notes_of(foreign_tree)["labels/01/img_6keV_clen01_00001.h5"]
    assert note.startswith("a label by thresholded image, noise included")


def test_the_same_remark_on_many_files_is_made_once(tmp_path):
    findings = [Finding(tmp_path / f"{n}.h5", "bad: replace it") for n in range(9)]
    findings += [Finding(tmp_path / "x" / "a.h5", "bad: replace it")]
    lines = summarise(findings + findings)
    assert lines == [
        f"{tmp_path}: 0.h5, 1.h5, 2.h5 and 6 more: bad: replace it",
        f"{tmp_path}/x/a.h5: bad: replace it",
    ]
