"""Dectris files: what real file writers put where."""

from __future__ import annotations

import h5py
import hdf5plugin  # noqa: F401  (registers the codec)
import numpy as np
import pytest

from cxlsfind.sim.dectris import RunHeader, write_legacy, write_v2024

N_IMAGES = 5


@pytest.fixture
def images(tiny_detector):
    """Return the counts of five images."""
    return np.random.default_rng(0).poisson(0.3, (N_IMAGES, *tiny_detector.shape))


def make_header(detector, dtype=np.uint16):
    mask = detector.pixel_mask(0.01, seed=1)
    return RunHeader(detector, 7000.0, 0.15, mask, N_IMAGES, dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_legacy_master_links_to_its_data_files(tmp_path, tiny_detector, images, dtype):
    header = make_header(tiny_detector, dtype)
    run = write_legacy(tmp_path, "run", images, header, frames_per_file=2)
    assert [path.name for path in run.data] == [f"run_data_00000{n}.h5" for n in (1, 2, 3)]
    with h5py.File(run.master) as master:
        links = {k: master["entry/data"].get(k, getlink=True) for k in master["entry/data"]}
        assert links["data_000002"].filename == "run_data_000002.h5"
        read = np.concatenate([master["entry/data"][name][:] for name in sorted(links)])
    assert read.dtype == dtype
    good = header.pixel_mask == 0
    np.testing.assert_array_equal(read[:, good], images[:, good])
    assert (read[:, ~good] == np.iinfo(dtype).max).all()


def test_chunks_are_single_frames_of_bitshuffle_lz4(tmp_path, tiny_detector, images):
    run = write_legacy(tmp_path, "run", images, make_header(tiny_detector))
    with h5py.File(run.data[0]) as file:
        dataset = file["entry/data/data"]
        assert dataset.chunks == (1, *tiny_detector.shape)
        code, _, options, _ = dataset.id.get_create_plist().get_filter(0)
        assert code == 32008
        assert options[4] == 2
        assert dataset.attrs["image_nr_low"] == 1
        assert dataset.attrs["image_nr_high"] == N_IMAGES


def test_zero_frames_per_file_puts_the_images_into_the_master(tmp_path, tiny_detector, images):
    run = write_legacy(tmp_path, "run", images, make_header(tiny_detector), frames_per_file=0)
    assert run.data == (run.master,)
    with h5py.File(run.master) as master:
        assert master["entry/data/data"].shape == images.shape


def test_legacy_metadata_are_where_readers_look(tmp_path, tiny_detector, images):
    header = make_header(tiny_detector)
    run = write_legacy(tmp_path, "run", images, header)
    with h5py.File(run.master) as master:
        detector = master["entry/instrument/detector"]
        assert detector["beam_center_x"][()] == 67
        assert detector["beam_center_y"][()] == 35
        assert detector["detector_distance"][()] == np.float32(0.15)
        assert detector["x_pixel_size"][()] == np.float32(75e-6)
        assert detector["bit_depth_image"][()] == 16
        specific = detector["detectorSpecific"]
        assert specific["nimages"][()] * specific["ntrigger"][()] == N_IMAGES
        assert specific["countrate_correction_count_cutoff"][()] == 7700
        np.testing.assert_array_equal(specific["pixel_mask"][:], header.pixel_mask)
        wavelength = master["entry/instrument/beam/incident_wavelength"]
        assert wavelength[()] == pytest.approx(1.7712, abs=1e-4)
        assert wavelength.attrs["units"] == "angstrom"


def test_counts_stop_at_the_cutoff(tmp_path, tiny_detector):
    header = make_header(tiny_detector)
    images = np.full((N_IMAGES, *tiny_detector.shape), 100_000)
    run = write_legacy(tmp_path, "run", images, header)
    with h5py.File(run.data[0]) as file:
        frame = file["entry/data/data"][0]
    assert set(np.unique(frame)) == {7700, 65535}


def test_v2024_master_is_one_virtual_dataset_of_channels(tmp_path, tiny_detector, images):
    header = make_header(tiny_detector)
    channels = {"threshold_1": images, "threshold_2": images // 2, "difference": images % 2}
    run = write_v2024(tmp_path, "run", channels, header, frames_per_file=3)
    assert len(run.data) == 2
    with h5py.File(run.master) as master:
        dataset = master["entry/data/data"]
        assert dataset.is_virtual
        assert dataset.shape == (N_IMAGES, 3, *tiny_detector.shape)
        assert [source.file_name for source in dataset.virtual_sources()] == [
            path.name for path in run.data
        ]
        good = header.pixel_mask == 0
        np.testing.assert_array_equal(dataset[4, 1][good], (images // 2)[4][good])
        detector = master["entry/instrument/detector"]
        mask = detector["threshold_2_channel/pixel_mask"][:]
        np.testing.assert_array_equal(mask, header.pixel_mask)
        assert list(master["entry/data/channel"].asstr()[:]) == list(channels)
        assert detector["distance"][()] == 0.15
