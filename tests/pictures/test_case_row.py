import numpy as np
import pytest
from matplotlib.image import imread

from joint_seg_cls.pictures import case_row, montage, on_black, square_pixels
from joint_seg_cls.pictures.slices import Slice


def a_case(shape=(20, 30, 5)):
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    mask = np.zeros(shape, dtype=bool)
    mask[2:6, 24:28, 2] = True
    return image, mask


def test_a_row_shows_left_at_the_left_and_front_at_the_top_in_square_pixels():
    image, mask = a_case()
    row = case_row(Slice("axial", 2), image, mask, None, None, spacing_mm=(2.0, 1.0, 7.0))
    height, width = row.shape[:2]
    assert row.dtype == np.uint8
    assert height == 200
    panel = round(200 * 20 * 2.0 / (30 * 1.0))
    assert width == 2 * panel + 4
    coloured = np.argwhere(row[:, panel + 4 :].std(axis=-1) > 5)
    top, left = coloured.min(axis=0)
    bottom, right = coloured.max(axis=0)
    assert top == pytest.approx(200 * (30 - 28) / 30, abs=2)
    assert bottom == pytest.approx(200 * (30 - 24) / 30, abs=2)
    assert left == pytest.approx(panel * 2 / 20, abs=2)
    assert right == pytest.approx(panel * 6 / 20, abs=2)


def test_unknown_volumes_have_no_column_and_high_values_are_bright():
    image, mask = a_case()
    place = np.zeros(image.shape, np.float32)
    place[10:14, 10:14, 2] = 3.0
    whole = case_row(Slice("axial", 2), image, mask, mask, place, spacing_mm=(1.0, 1.0, 1.0))
    less = case_row(Slice("axial", 2), image, None, mask, None, spacing_mm=(1.0, 1.0, 1.0))
    panel = round(200 * 20 / 30)
    assert whole.shape[1] == 4 * panel + 3 * 4
    assert less.shape[1] == 2 * panel + 4
    last = whole[:, -panel:].astype(float)
    y, x = round(200 * (30 - 12) / 30), round(panel * 12 / 20)
    assert last[y, x, 0] - last[y, x, 2] > 50, "the map's brightest colour is yellow"
    np.testing.assert_array_equal(last[5, 5], whole[5, 5])


def test_outside_the_tissue_is_black():
    image, mask = a_case()
    shown = on_black(image, mask)
    assert (shown[~mask] == image.min()).all()
    np.testing.assert_array_equal(shown[mask], image[mask])


def test_a_scaled_mask_is_binary():
    mask = np.eye(5, dtype=bool)
    assert set(np.unique(square_pixels(mask, 1.0, 23, order=0))) == {0.0, 1.0}
    ramp = np.tile(np.arange(5.0), (3, 1))
    scaled = square_pixels(ramp, 2.0, 30, order=1)
    assert scaled.shape == (30, 25)
    assert (np.diff(scaled[0]) >= 0).all()


def test_a_montage_scales_with_its_resolution_and_shows_its_notes(tmp_path):
    panels = [[np.zeros((8, 8))] * 2]
    montage(panels, ["a", "b"], tmp_path / "plain.png")
    montage(panels, ["a", "b"], tmp_path / "noted.png", notes=[["", "DSC 0.5"]])
    montage(panels, ["a", "b"], tmp_path / "fine.png", dots_per_inch=200)
    plain, noted, fine = (imread(tmp_path / f"{name}.png")[..., :3] for name in ("plain", "noted", "fine"))
    assert fine.shape[1] == 2 * plain.shape[1]
    differs = np.argwhere((plain != noted).any(axis=-1))
    assert differs[:, 1].min() > plain.shape[1] / 2, "under the second picture alone"
    assert differs[:, 0].min() > plain.shape[0] / 2
