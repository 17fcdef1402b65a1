"""The PyTorch data set: pairs by name, in order, through workers, from trees of any kind."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

from cxlsfind.datasets.images import read_ignore, read_image  # noqa: E402
from cxlsfind.datasets.naming import BRANCHES, LABELS, OVERLAY, PEAKS, WATER  # noqa: E402
from cxlsfind.datasets.streaming import FrameDataset  # noqa: E402
from cxlsfind.errors import InputError, InputProblemsError  # noqa: E402


def test_an_item_holds_the_branches_of_one_frame(made_tree):
    frames = FrameDataset(made_tree, branches=BRANCHES)
    assert len(frames) == 10
    names = [item["name"] for item in (frames[n] for n in range(10))]
    assert names == sorted(names)
    item = frames[1]
    assert item["name"] == "01/01_6keV_clen01_000002.h5"
    for branch in BRANCHES:
        assert item[branch].dtype == torch.float32
        expected = read_image(made_tree / branch / item["name"])
        np.testing.assert_array_equal(item[branch][0].numpy(), expected)
    expected = read_ignore(made_tree / LABELS / item["name"])
    np.testing.assert_array_equal(item["ignore"][0].numpy(), expected)
    assert (item["peak"].item(), item["photon_energy"].item()) == (1.0, 6000.0)
    assert item["clen"].item() == pytest.approx(0.1)
    assert item["frame_class"] == "hit"
    assert torch.equal(item[OVERLAY], item[PEAKS] + item[WATER])


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_load_every_frame_once(made_tree, workers):
    frames = FrameDataset(made_tree)
    loader = DataLoader(
        frames,
        batch_size=4,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    batches = list(loader)
    assert [len(batch["name"]) for batch in batches] == [4, 4, 2]
    assert batches[0][OVERLAY].shape == (4, 1, 512, 1028)
    assert [name for batch in batches for name in batch["name"]] == [
        entry.frame.name for entry in frames.entries
    ]
    peak = torch.cat([batch["peak"] for batch in batches])
    assert peak.sum() == 6
    for n, flag in enumerate(peak):
        assert frames[n]["peak"] == flag


def test_a_data_set_is_sent_to_workers_as_names_alone(made_tree):
    frames = FrameDataset(made_tree)
    packed = pickle.dumps(frames)
    assert len(packed) < 20_000
    again = pickle.loads(packed)
    assert torch.equal(again[3][OVERLAY], frames[3][OVERLAY])


def test_a_part_of_a_split_can_be_taken(made_tree):
    names = ["02/02_8keV_clen01_000003.h5", "01/01_6keV_clen01_000001.h5"]
    frames = FrameDataset(made_tree, names=names)
    assert [item["name"] for item in (frames[0], frames[1])] == sorted(names)
    with pytest.raises(InputError, match="1 of 1 frames are not there, the first is 07/x"):
        FrameDataset(made_tree, names=["07/x"])


def test_trees_of_others_are_paired_by_name(foreign_tree):
    frames = FrameDataset(foreign_tree, branches=(PEAKS, OVERLAY, WATER))
    assert len(frames) == 6
    for number in range(6):
        item = frames[number]
        assert torch.equal(item[OVERLAY], item[PEAKS] + item[WATER])
        assert item["clen"].item() == pytest.approx(0.15)


def test_labels_of_others_ignore_nothing(tree):
    import h5py

    path = tree / LABELS / "01" / "01_6keV_clen01_000001.h5"
    with h5py.File(path, "r+") as file:
        del file["entry/data/ignore"]
    assert not FrameDataset(tree)[0]["ignore"].any()


def test_a_missing_branch_is_told_before_training(foreign_tree, tree):
    with pytest.raises(InputProblemsError, match="has no counterpart in labels") as caught:
        FrameDataset(foreign_tree)
    assert len(caught.value.problems) == 6
    (tree / LABELS / "01" / "01_6keV_clen01_000001.h5").unlink()
    with pytest.raises(InputProblemsError, match="has no counterpart in labels"):
        FrameDataset(tree)
    with pytest.raises(InputError, match="no branch 'masks'"):
        FrameDataset(tree, branches=["masks"])


def test_images_of_different_sizes_are_told_before_training(foreign_tree, write_foreign):
    odd = foreign_tree / PEAKS / "01" / "img_6keV_clen01_00002.h5"
    write_foreign(odd, np.zeros((3, 3)), clen=0.15, photon_energy=6000, peak=True)
    with pytest.raises(InputError, match="images of different sizes"):
        FrameDataset(foreign_tree, branches=[PEAKS])
