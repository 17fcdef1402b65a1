"""Overlays, labels, attributes and frames without a crystal, in trees of our own and of others."""

from __future__ import annotations

import numpy as np
import pytest

from cxlsfind.datasets.additions import (
    add_copied_empty,
    add_label,
    add_overlay,
    do_additions,
    plan_copied_empties,
    plan_labels,
    plan_overlays,
)
from cxlsfind.datasets.attributes import complete_frame
from cxlsfind.datasets.catalog import read_catalog
from cxlsfind.datasets.images import read_attributes, read_ignore, read_image
from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.tree import scan_tree
from cxlsfind.errors import InputError, InputProblemsError


def do(work, jobs, processes=1):
    done = []
    do_additions(work, jobs, processes=processes, tell=done.append)
    assert done == list(range(1, len(jobs) + 1))


@pytest.mark.parametrize("processes", [1, 2])
def test_overlays_of_others_are_made_of_peaks_and_water(foreign_tree, processes):
    for path in (foreign_tree / OVERLAY).rglob("*.h5"):
        path.unlink()
    do(add_overlay, plan_overlays(scan_tree(foreign_tree), overwrite=False), processes)
    for frame in scan_tree(foreign_tree).frames:
        assert frame.paths[OVERLAY].name == frame.key
        water = read_image(foreign_tree / WATER / frame.dataset / f"water{frame.dataset}.h5")
        overlay = read_image(frame.paths[OVERLAY])
        np.testing.assert_array_equal(overlay, read_image(frame.paths[PEAKS]) + water)
        known = read_attributes(frame.paths[OVERLAY])
        assert (known.clen_m, known.peak, known.respelled) == (0.15, True, ())


def test_only_missing_overlays_are_made_unless_asked(foreign_tree):
    tree = scan_tree(foreign_tree)
    assert plan_overlays(tree, overwrite=False) == []
    do(add_overlay, plan_overlays(tree, overwrite=True))
    again = scan_tree(foreign_tree)
    assert [frame.paths for frame in again.frames] == [frame.paths for frame in tree.frames]


def test_sums_do_not_roll_over(tmp_path, write_foreign):
    known = {"clen": 0.15, "photon_energy": 6000, "peak": True}
    for branch in (PEAKS, WATER):
        image = np.full((4, 5), 200, np.uint8)
        write_foreign(tmp_path / branch / "01" / "01_6keV_clen01_000001.h5", image, **known)
    do(add_overlay, plan_overlays(scan_tree(tmp_path), overwrite=False))
    (frame,) = scan_tree(tmp_path).frames
    assert (read_image(frame.paths[OVERLAY]) == 400).all()


def test_images_of_different_sizes_are_not_added(foreign_tree, write_foreign):
    odd = foreign_tree / PEAKS / "01" / "img_6keV_clen01_00002.h5"
    write_foreign(odd, np.zeros((3, 3)), clen=0.15, photon_energy=6000, peak=True)
    with pytest.raises(InputProblemsError, match=r"00002\.h5: \(3, 3\) pixels, but .*water01\.h5"):
        do(add_overlay, plan_overlays(scan_tree(foreign_tree), overwrite=True))


def test_overlays_need_peaks_and_water(foreign_tree):
    (foreign_tree / WATER / "01" / "water01.h5").unlink()
    with pytest.raises(InputProblemsError, match="no counterpart in water") as caught:
        plan_overlays(scan_tree(foreign_tree), overwrite=True)
    assert len(caught.value.problems) == 3


def test_labels_of_others_are_thresholded_and_say_so(foreign_tree):
    do(add_label, plan_labels(scan_tree(foreign_tree), 1.0, overwrite=False))
    for frame in scan_tree(foreign_tree).frames:
        label = read_image(frame.paths[LABELS])
        np.testing.assert_array_equal(label, read_image(frame.paths[PEAKS]) >= 1)
        source = read_attributes(frame.paths[LABELS]).others["label_source"]
        assert source == "thresholded image, noise included: at least 1 photons in the pixel"


def test_labels_without_truth_or_threshold_are_refused(foreign_tree):
    with pytest.raises(InputProblemsError, match="--threshold 1 labels the photons") as caught:
        do(add_label, plan_labels(scan_tree(foreign_tree), None, overwrite=False))
    assert len(caught.value.problems) == 6


def test_labels_and_overlays_made_anew_are_the_same_files(tree):
    files = {path: path.read_bytes() for path in tree.rglob("*.h5")}
    do(add_label, plan_labels(scan_tree(tree), None, overwrite=True))
    do(add_overlay, plan_overlays(scan_tree(tree), overwrite=True))
    assert {path: path.read_bytes() for path in tree.rglob("*.h5")} == files


def test_thresholded_labels_of_a_simulated_tree(tree):
    do(add_label, plan_labels(scan_tree(tree), 2.0, overwrite=True))
    for frame in scan_tree(tree).frames:
        label = read_image(frame.paths[LABELS])
        np.testing.assert_array_equal(label, read_image(frame.paths[PEAKS]) >= 2)
        source = str(read_attributes(frame.paths[LABELS]).others["label_source"])
        assert source.startswith("thresholded") != frame.has_empty_name
        assert read_ignore(frame.paths[LABELS]).any()


def test_empties_of_others_are_added_by_percent(foreign_tree):
    do(add_copied_empty, plan_copied_empties(scan_tree(foreign_tree), 50))
    do(add_copied_empty, plan_copied_empties(scan_tree(foreign_tree), 70))
    tree = scan_tree(foreign_tree)
    empties = [frame for frame in tree.frames if frame.has_empty_name]
    assert [frame.name for frame in empties] == [
        f"{n:02d}/empty_img_{kev}keV_clen01_{i:05d}.h5"
        for n, kev in ((1, 6), (2, 7))
        for i in (1, 2)
    ]
    for frame in empties:
        water = read_image(tree.shared_water[frame.dataset])
        np.testing.assert_array_equal(read_image(frame.paths[OVERLAY]), water)
        for branch in (PEAKS, LABELS):
            assert not read_image(frame.paths[branch]).any()
        assert read_attributes(frame.paths[OVERLAY]).peak is False
    # Their noise is that of the frames with a crystal, and no split may overlook that.
    for name in ("01", "02"):
        seeds = {entry.background for entry in read_catalog(tree.only({int(name)}))}
        assert len(seeds) == 1


def test_empties_that_cannot_be_are_refused(foreign_tree):
    tree = scan_tree(foreign_tree)
    with pytest.raises(InputError, match="one water image at most"):
        plan_copied_empties(tree, 150)
    do(add_copied_empty, plan_copied_empties(tree, 100))
    with pytest.raises(InputError, match="has 3 frames without a crystal, 50 % of 3 are 1"):
        plan_copied_empties(scan_tree(foreign_tree), 50)
    (foreign_tree / WATER / "01" / "water01.h5").unlink()
    for path in foreign_tree.rglob("*empty*"):
        path.unlink()
    with pytest.raises(InputError, match="no counterpart in water"):
        plan_copied_empties(scan_tree(foreign_tree), 50)


def test_missing_attributes_follow_from_names(tmp_path, write_foreign):
    images = {
        "peaks/05/img_7keV_clen02_00001.h5": True,
        "peaks/05/empty_peak_05_00001.h5": False,
        "water/05/water05.h5": False,
    }
    for name in images:
        write_foreign(tmp_path / name, np.zeros((2, 2)))
    tree = scan_tree(tmp_path)
    # The water image of the data set is met with each frame, and changed once.
    assert [complete_frame(tree, frame, None, None) for frame in tree.frames] == [2, 1]
    for name, peak in images.items():
        known = read_attributes(tmp_path / name)
        assert (known.clen_m, known.photon_energy_ev, known.peak) == (0.25, 7000.0, peak)
    assert sum(complete_frame(tree, frame, None, None) for frame in tree.frames) == 0
    assert sum(complete_frame(tree, frame, None, 0.3) for frame in tree.frames) == 3


def test_attributes_that_nothing_tells_are_refused(tmp_path, write_foreign):
    write_foreign(tmp_path / "peaks/12/img_1.h5", np.zeros((2, 2)))
    tree = scan_tree(tmp_path)
    with pytest.raises(InputError, match="does not tell what 'clen' is"):
        complete_frame(tree, tree.frames[0], None, None)
    assert complete_frame(tree, tree.frames[0], 6500.0, 0.2) == 1


def test_attributes_spelt_otherwise_get_their_name(foreign_tree):
    tree = scan_tree(foreign_tree)
    for frame in tree.frames:
        complete_frame(tree, frame, None, None)
    for path in foreign_tree.rglob("*.h5"):
        known = read_attributes(path)
        assert known.clen_m == 0.15
        assert known.respelled == ()
