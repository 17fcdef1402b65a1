"""Simulated trees: what is in them, consistent, reproducible, completed and extended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cxlsfind.datasets.images import read_attributes, read_image, read_mask, read_truth
from cxlsfind.datasets.labels import frame_class
from cxlsfind.datasets.making import begin_tree, extend_tree, frame_paths, make_frame
from cxlsfind.datasets.naming import LABELS, OVERLAY, PEAKS, WATER
from cxlsfind.datasets.recipe import Recipe, count_empties, read_recipe, write_recipe
from cxlsfind.datasets.simulation import PatternSimulation
from cxlsfind.datasets.tree import GEOMETRY_NAME, MASK_NAME, RECIPE_NAME
from cxlsfind.datasets.workers import run_jobs
from cxlsfind.errors import InputError
from cxlsfind.geometry.crystfel import parse_geometry


def images_of(root, job):
    return {branch: read_image(path) for branch, path in frame_paths(root, job).items()}


def test_names_and_attributes_are_those_of_the_paper(made_tree, recipe):
    names = sorted(path.name for path in (made_tree / PEAKS / "02").iterdir())
    assert names == [
        "02_8keV_clen01_000001.h5",
        "02_8keV_clen01_000002.h5",
        "02_8keV_clen01_000003.h5",
        "empty_02_8keV_clen01_000001.h5",
        "empty_02_8keV_clen01_000002.h5",
    ]
    for job in recipe.jobs():
        for branch, path in frame_paths(made_tree, job).items():
            known = read_attributes(path)
            assert known.clen_m == 0.1
            assert known.photon_energy_ev == (6000 if job.folder == "01" else 8000)
            assert known.peak == (branch != WATER and not job.name.is_empty)


def test_branches_agree(made_tree, recipe):
    usable = read_mask(made_tree / MASK_NAME) == 0
    assert 0.999 < usable.mean() < 1
    for job in recipe.jobs():
        images = images_of(made_tree, job)
        for image in images.values():
            assert image.shape == usable.shape
            assert not image[~usable].any()
        np.testing.assert_array_equal(images[OVERLAY], images[PEAKS] + images[WATER])
        assert images[WATER].any()
        assert images[PEAKS].any() != job.name.is_empty
        assert images[LABELS].any() != job.name.is_empty


def test_labels_stand_where_photons_are_expected(made_tree, recipe):
    """Photons within two pixels of labelled spots: those of the crystal, far above the water."""
    for job in recipe.jobs():
        if job.name.is_empty:
            continue
        images = images_of(made_tree, job)
        truth = read_truth(frame_paths(made_tree, job)[PEAKS])
        assert frame_class(truth, has_crystal=True) == "hit"
        expected = np.zeros(images[PEAKS].size)
        expected[truth.pixels["index"]] = truth.pixels["bragg"]
        expected = expected.reshape(images[PEAKS].shape)
        near = np.zeros_like(expected, np.bool_)
        for ss, fs in np.argwhere(images[LABELS]):
            near[max(ss - 2, 0) : ss + 3, max(fs - 2, 0) : fs + 3] = True
        total = expected[near].sum()
        assert total > 0.5 * expected.sum()
        assert abs(images[PEAKS][near].sum() - total) < 0.1 * total
        assert len(truth.spots) >= np.count_nonzero(images[LABELS])


def test_water_is_drawn_anew_for_every_frame(made_tree, recipe):
    water = [images_of(made_tree, job)[WATER] for job in recipe.jobs()]
    assert len({image.tobytes() for image in water}) == len(water)
    # Not one pattern of noise with something on top either.
    both = np.count_nonzero((water[0] > 0) & (water[1] > 0))
    by_chance = water[0].size * (water[0] > 0).mean() * (water[1] > 0).mean()
    assert both < 2 * by_chance + 5 * np.sqrt(by_chance)


@pytest.mark.parametrize("processes", [1, 2])
def test_files_are_the_same_whatever_the_number_of_processes(
    tmp_path, made_tree, recipe, processes
):
    root = tmp_path / "again"
    tasks = begin_tree(root, PatternSimulation(recipe)).tasks()
    # Backwards: nothing may depend on what was made before.
    assert list(run_jobs(make_frame, tasks[::-1], processes)) == [None] * len(tasks)
    files = [path for path in made_tree.rglob("*") if path.is_file()]
    for path in files:
        if path.suffix != ".sha256":
            assert (root / path.relative_to(made_tree)).read_bytes() == path.read_bytes()
    assert len(files) == 4 * len(tasks) + 4


def test_frames_do_not_depend_on_how_many_there_are(tmp_path, made_tree, recipe):
    more = replace(recipe, patterns=recipe.patterns + 1, empties=recipe.empties + 1)
    task = begin_tree(tmp_path / "more", PatternSimulation(more)).tasks()[0]
    make_frame(task)
    for branch, path in frame_paths(made_tree, task.job).items():
        again = frame_paths(tmp_path / "more", task.job)[branch]
        assert again.read_bytes() == path.read_bytes()


def test_another_seed_is_another_tree(tmp_path, made_tree, recipe):
    task = begin_tree(tmp_path / "b", PatternSimulation(replace(recipe, seed=6))).tasks()[0]
    make_frame(task)
    for branch in (PEAKS, WATER):
        one, other = (frame_paths(root, task.job)[branch] for root in (made_tree, tmp_path / "b"))
        assert (read_image(one) != read_image(other)).any()


def test_a_tree_is_completed(tree, recipe):
    jobs = list(recipe.jobs())
    lost = frame_paths(tree, jobs[3])[LABELS]
    content = lost.read_bytes()
    lost.unlink()
    plan = begin_tree(tree, PatternSimulation(recipe))
    assert plan.jobs == (jobs[3],)
    make_frame(plan.tasks()[0])
    assert lost.read_bytes() == content


def test_a_tree_gets_more_frames_without_a_crystal(tree, recipe):
    more = replace(recipe, empties=3)
    plan = extend_tree(tree, PatternSimulation(more))
    assert [str(job.name) for job in plan.jobs] == [
        "empty_01_6keV_clen01_000003.h5",
        "empty_02_8keV_clen01_000003.h5",
    ]
    assert read_recipe(tree / RECIPE_NAME) == more
    with pytest.raises(InputError, match="have 3 frames without a crystal, more than 1"):
        extend_tree(tree, PatternSimulation(replace(recipe, empties=1)))


def test_other_folders_are_left_alone(tree, tmp_path, recipe):
    with pytest.raises(InputError, match="made here with other options"):
        begin_tree(tree, PatternSimulation(replace(recipe, seed=6)))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("")
    for place in (tmp_path / "full", tmp_path / "full" / "notes.txt"):
        with pytest.raises(InputError, match="no tree that was made here"):
            begin_tree(place, PatternSimulation(recipe))
    with pytest.raises(InputError, match="cannot be made"):
        begin_tree(tmp_path / "full" / "notes.txt" / "tree", PatternSimulation(recipe))


def test_the_geometry_describes_the_images(made_tree, recipe):
    text = (made_tree / GEOMETRY_NAME).read_text()
    geometry = parse_geometry(text, file="tree.geom")
    (panel,) = geometry.panels
    assert (panel.height, panel.width) == read_mask(made_tree / MASK_NAME).shape
    assert panel.data == "/entry/data/data"
    assert geometry.warnings == ()


def test_a_recipe_is_read_as_it_was_written(tmp_path, recipe):
    changed = replace(recipe, settings=(("background.materials", (("kapton", 1e-5),)),))
    for one in (recipe, changed):
        write_recipe(tmp_path / "tree.json", one)
        assert read_recipe(tmp_path / "tree.json") == one


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "cxlsfind-tree/9"}', '{"schema": "cxlsfind-tree/1"}']
)
def test_what_is_no_recipe_is_refused(tmp_path, text):
    (tmp_path / "tree.json").write_text(text)
    with pytest.raises(InputError, match=r"tree\.json: "):
        read_recipe(tmp_path / "tree.json")


@pytest.mark.parametrize(
    ("patterns", "percent", "empties"), [(100, 50, 50), (101, 50, 50), (10, 0, 0), (3, 33.4, 1)]
)
def test_fifty_percent_of_a_hundred_are_fifty_more(patterns, percent, empties):
    assert count_empties(patterns, percent) == empties


def test_frames_of_a_tree_have_numbers_of_their_own(recipe):
    big = Recipe(0, 40, 40, recipe.conditions, "Eiger500K", ())
    numbers = [job.number for job in big.jobs()]
    assert len(set(numbers)) == len(numbers)
