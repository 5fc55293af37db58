import numpy as np
import pytest

from joint_seg_cls.lesions import label_lesions, lesion_table
from joint_seg_cls.scan import Grid

OBLIQUE = np.array([[0.6, 0.8, 0, 5], [-0.8, 0.6, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]], dtype=float)


def test_voxels_that_share_a_corner_are_one_lesion():
    mask = np.zeros((5, 6, 7), dtype=bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    mask[4, 5, 6] = True
    labels, count = label_lesions(mask)
    assert count == 2
    assert labels[1, 1, 1] == labels[2, 2, 2] != labels[4, 5, 6]
    assert labels[~mask].max() == 0


def test_an_empty_mask_has_no_lesions():
    mask = np.zeros((4, 5, 6), dtype=bool)
    assert label_lesions(mask)[1] == 0
    table = lesion_table(mask, Grid(mask.shape, np.eye(4)))
    assert len(table) == 0
    assert "volume_ml" in table.columns


def test_volume_and_centroid_are_in_world_units_of_an_oblique_grid():
    mask = np.zeros((7, 5, 6), dtype=bool)
    mask[2:4, 1, 1:3] = True
    table = lesion_table(mask, Grid(mask.shape, OBLIQUE))
    (row,) = table.to_dict("records")
    centre = OBLIQUE @ [2.5, 1, 1.5, 1]
    assert row["voxels"] == 4
    assert row["volume_ml"] == pytest.approx(4 * 3 / 1000)
    assert [row[f"centroid_{axis}_mm"] for axis in "xyz"] == pytest.approx(centre[:3].tolist())
    assert row["long_mm"] >= row["middle_mm"] >= row["short_mm"] > 0


def test_axes_of_a_rotated_ellipsoid_are_found():
    index = np.stack(np.meshgrid(*(np.arange(41.0),) * 3, indexing="ij"), axis=-1) - 20
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    mask = (((index @ turn) / (16, 8, 5)) ** 2).sum(axis=-1) <= 1
    (row,) = lesion_table(mask, Grid(mask.shape, np.diag([0.5, 0.5, 0.5, 1.0]))).to_dict("records")
    assert [row[name] for name in ("long_mm", "middle_mm", "short_mm")] == pytest.approx([16, 8, 5], rel=0.02)
    assert row["fill"] == pytest.approx(1, abs=0.02)
    direction = np.array([row[f"direction_{axis}"] for axis in "xyz"])
    assert abs(direction @ turn[:, 0]) == pytest.approx(1, abs=1e-3)


def test_a_voxel_fills_its_ellipsoid_as_a_cube_does():
    mask = np.ones((3, 3, 3), dtype=bool)
    mask[:] = False
    mask[1, 1, 1] = True
    (row,) = lesion_table(mask, Grid(mask.shape, np.diag([2.0, 2, 2, 1]))).to_dict("records")
    axis = 2 * np.sqrt(5 / 12) * 2
    assert row["long_mm"] == pytest.approx(axis)
    assert row["fill"] == pytest.approx(8 / (np.pi / 6 * axis**3))


def test_a_ring_fills_less_than_a_ball():
    index = np.stack(np.meshgrid(*(np.arange(25.0),) * 3, indexing="ij"), axis=-1) - 12
    radius = np.hypot(index[..., 0], index[..., 1])
    ring = (np.abs(radius - 9) < 1.5) & (np.abs(index[..., 2]) < 1.5)
    assert lesion_table(ring, Grid(ring.shape, np.eye(4)))["fill"].item() < 0.6
