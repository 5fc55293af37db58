"""Grids: maps between a scan's grid and the network's grid are exact and invertible."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joint_seg_cls.scan import Geometry, Grid, reorient, resample

sides = st.integers(5, 24)
axes = st.sampled_from(["RAS", "LPS", "LAS", "PIR", "SRA", "AIL"])
angles = st.floats(-25, 25)


def turned(axes_code, degrees, spacing, origin=(3.0, -4.0, 7.0)):
    base = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(axes_code), (1, 1, 1))[:3, :3]
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.sign(np.round(base)) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def ramp(grid):
    """A value that is linear in millimetres: resampling with linear weights must give it back exactly."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    world = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return (world @ np.array([1.0, -2.0, 0.5])).astype(np.float32)


def interior(array, margin=1):
    return array[margin:-margin, margin:-margin, margin:-margin]


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(sides, sides, sides), code=axes, degrees=angles)
def test_canonical_grid_holds_the_same_voxels_in_ras_order(shape, code, degrees):
    grid = Grid(shape, turned(code, degrees, (0.7, 1.3, 2.9)))
    canonical = grid.canonical()
    assert canonical.axes == "RAS"
    assert sorted(canonical.shape) == sorted(shape)
    np.testing.assert_allclose(reorient(ramp(grid), grid, canonical), ramp(canonical), atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(shape=st.tuples(sides, sides, sides), code=axes, degrees=angles, size=st.integers(6, 30))
def test_linear_resampling_keeps_a_linear_ramp_in_world_space(shape, code, degrees, size):
    native = Grid(shape, turned(code, degrees, (0.7, 1.3, 2.9)))
    model = native.canonical().resized((size, size + 1, size + 2))
    found = resample(ramp(native), native, model, linear=True)
    # half a native voxel at the border takes the outermost value; the inside is exact
    margin = [int(np.ceil(m / n / 2)) + 1 for m, n in zip(model.shape, native.canonical().shape, strict=True)]
    inside = tuple(slice(k, -k) for k in margin)
    np.testing.assert_allclose(found[inside], ramp(model)[inside], atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(shape=st.tuples(sides, sides, sides), code=axes, degrees=angles)
def test_an_integer_enlargement_and_its_inverse_change_nothing(shape, code, degrees):
    native = Grid(shape, turned(code, degrees, (1.0, 1.0, 3.0)))
    x, y, z = native.canonical().shape
    geometry = Geometry(native, native.canonical().resized((3 * x, 3 * y, 3 * z)))
    mask = np.random.default_rng(0).random(shape) > 0.7
    np.testing.assert_array_equal(geometry.to_native(geometry.to_model(mask, linear=False), linear=False), mask)


def test_resize_keeps_the_field_of_view_not_the_centres():
    resized = Grid((10, 10, 10), np.eye(4)).resized((5, 20, 10))
    assert resized.spacing_mm == (2.0, 0.5, 1.0)
    # outer edges at -0.5 and 9.5 mm: first centres half a new voxel inside
    np.testing.assert_allclose(resized.affine[:3, 3], [0.5, -0.25, 0.0])


def test_crop_and_inverse_restore_every_voxel_with_zeros_elsewhere():
    native = Grid((7, 9, 11), turned("LPS", 9.0, (0.9, 1.1, 3.0)))
    data = np.random.default_rng(1).random((7, 9, 11)).astype(np.float32) + 1
    model = native.canonical().cropped((1, 2, 3), (6, 8, 10))
    geometry = Geometry(native, model)
    back = geometry.to_native(geometry.to_model(data, linear=True), linear=True)
    assert (back == data)[back != 0].all()
    assert (back != 0).sum() == 5 * 6 * 7


def test_negative_crop_pads_with_zeros():
    native = Grid((4, 4, 4), np.eye(4))
    padded = resample(np.ones((4, 4, 4), np.float32), native, native.cropped((-1, 0, -2), (4, 4, 5)), linear=True)
    assert padded.shape == (5, 4, 7)
    assert padded.sum() == 64
    assert padded[1:, :, 2:6].min() == 1


def test_grids_at_an_angle_are_refused():
    tilted = Grid((5, 5, 5), turned("RAS", 10.0, (1, 1, 1)))
    with pytest.raises(ValueError, match="rotated"):
        resample(np.zeros((5, 5, 5), np.float32), Grid((5, 5, 5), np.eye(4)), tilted, linear=True)


def test_distance_is_that_of_the_farthest_corner():
    moved = np.eye(4)
    moved[0, 0] = 1.1  # the far corner of 11 voxels moves by 10 * 0.1 mm
    assert Grid((11, 3, 3), np.eye(4)).distance_mm(Grid((11, 3, 3), moved)) == pytest.approx(1.0)
    assert Grid((11, 3, 3), np.eye(4)).distance_mm(Grid((11, 3, 4), np.eye(4))) == float("inf")


def test_geometry_survives_json():
    native = Grid((7, 9, 11), turned("SRA", 9.0, (0.9, 1.1, 3.0)))
    geometry = Geometry(native, native.canonical().resized((16, 16, 16)))
    again = Geometry.from_json(geometry.to_json())
    assert again.native.shape == native.shape
    np.testing.assert_array_equal(again.model.affine, geometry.model.affine)
    assert geometry.native.voxel_ml == pytest.approx(0.9 * 1.1 * 3.0 / 1000)
