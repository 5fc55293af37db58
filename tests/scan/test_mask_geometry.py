"""Masks on other grids: reoriented, oblique, placed by the other form of a header; and the remedies."""

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import ConfigError, ScanError
from joint_seg_cls.scan import Grid, read_mask, read_scan, reorient, require_mask_geometry

SHAPE = (12, 14, 10)
MASK = np.zeros(SHAPE, np.uint8)
MASK[2:5, 3:9, 4:6] = 1


def turned(degrees, spacing=(1.0, 1.2, 2.0)):
    """An affine turned about two axes."""
    a = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag(spacing)
    affine[:3, 3] = (-5, 8, 3)
    return affine


def save(path, data, sform, qform=None):
    image = nib.Nifti1Image(data, sform)
    image.header.set_xyzt_units("mm")
    image.set_sform(sform, 0 if sform is None else 1)
    image.set_qform(sform if qform is None else qform, 1)
    nib.save(image, path)
    return path


@pytest.fixture
def scan(tmp_path):
    def make(sform, qform=None):
        data = np.random.default_rng(0).normal(100, 9, SHAPE).astype(np.float32)
        return read_scan(save(tmp_path / "scan.nii.gz", data, sform, qform))

    return make


@pytest.mark.parametrize("degrees", [0, 30, 44.9999999, 45, 45.0000001, 90, 135])
@pytest.mark.parametrize("shift", [-1e-6, 0, 1e-6])
def test_a_mask_that_differs_by_rounding_matches_its_scan_at_any_angle(scan, tmp_path, degrees, shift):
    affine = turned(degrees)
    found = scan(affine)
    change = np.pad(shift * np.random.default_rng(1).normal(size=(3, 3)), (0, 1))
    path = save(tmp_path / "mask.nii.gz", MASK, affine + change)
    np.testing.assert_array_equal(read_mask(path, found.grid, other=found.head.other), MASK)


@pytest.mark.parametrize("degrees", [20, 45])
def test_an_oblique_mask_with_permuted_axes_is_reoriented(scan, tmp_path, degrees):
    affine = turned(degrees)
    found = scan(affine)
    change = np.zeros((4, 4))
    change[[0, 1, 2, 3], [1, 2, 0, 3]] = 1  # the mask's axes 1, 2, 0 are the scan's 0, 1, 2
    change[1] *= -1
    change[1, 3] = SHAPE[1] - 1
    stored = np.moveaxis(MASK[:, ::-1], (0, 1, 2), (1, 2, 0))
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.nii", stored, affine @ change), found.grid), MASK)


def test_a_round_trip_is_the_identity_at_45_degrees():
    grid, other = Grid(SHAPE, turned(45)), Grid(SHAPE, turned(45.0000001))
    np.testing.assert_array_equal(reorient(MASK, grid, other), MASK)
    assert grid.like(other).shape == SHAPE


@pytest.mark.parametrize("whose", ["scan", "mask"])
def test_a_matching_qform_is_reported_and_the_suggested_key_works(scan, tmp_path, whose):
    sform, qform = turned(0), turned(20)
    if whose == "scan":
        found, path = scan(sform, qform), save(tmp_path / "mask.nii.gz", MASK, qform)
    else:
        found, path = scan(sform), save(tmp_path / "mask.nii.gz", MASK, qform, sform)
    with pytest.raises(ScanError) as error:
        read_mask(path, found.grid, other=found.head.other)
    assert f"they agree with the {whose}'s qform, but its sform is used" in error.value.found
    assert "mask_geometry=scan" in error.value.remedy
    assert "resample" not in error.value.remedy
    np.testing.assert_array_equal(read_mask(path, found.grid, geometry="scan"), MASK)


def test_a_mask_without_orientation_may_use_the_scans(scan, tmp_path):
    found = scan(turned(10))
    image = nib.Nifti1Image(MASK, None)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "mask.nii.gz")
    with pytest.raises(ScanError, match=r"without sform and qform; .*mask_geometry=scan"):
        read_mask(tmp_path / "mask.nii.gz", found.grid)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.nii.gz", found.grid, geometry="scan"), MASK)


def test_a_mask_of_another_shape_is_refused_either_way(scan, tmp_path):
    found = scan(turned(10))
    path = save(tmp_path / "mask.nii.gz", MASK[1:], turned(10))
    for geometry in ("header", "scan"):
        with pytest.raises(ScanError, match=r"shape \(11, 14, 10\).*resample") as error:
            read_mask(path, found.grid, geometry=geometry)
        assert "mask_geometry" not in error.value.remedy


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match=r"mask_geometry: expected header or scan, found both; correct"):
        require_mask_geometry("both")


@pytest.mark.parametrize("values", [(0, 1, 2, 3, 4), (0, 1, 2), (0, 2, 3), tuple(range(11))])
def test_the_suggested_lesion_values_keep_every_labelled_voxel(scan, tmp_path, values):
    found = scan(turned(10))
    data = np.resize(np.array(values, np.int16), SHAPE)
    path = save(tmp_path / "mask.nii.gz", data, turned(10))
    with pytest.raises(ScanError) as error:
        read_mask(path, found.grid)
    offered = error.value.remedy.partition("lesion_value=")[2].partition(";")[0]
    wanted = [int(value) for value in offered.strip("[]").split(",")]
    np.testing.assert_array_equal(read_mask(path, found.grid, lesion_value=wanted), data > 0)
