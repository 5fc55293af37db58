"""Further modalities on the FLAIR's grid: by their headers, or by rigid registration with a known motion."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess import ByHeader, CropResize, NoBiasField, NoExtraction, Pipeline, Rigid, SameGrid, ZScore
from joint_seg_cls.scan import Grid, Scan, read_scan, resample_oblique
from joint_seg_cls.scan.template import load_template


def turn(degrees, shift_mm=(0.0, 0.0, 0.0)):
    a, b, c = np.radians(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    move = np.eye(4)
    move[:3, :3] = x @ y @ z
    move[:3, 3] = shift_mm
    return move


def scan_of(data, grid, name="scan.nii.gz"):
    return Scan(Path(name), data.astype(np.float32), grid, nib.Nifti1Header())


@pytest.fixture(scope="module")
def flair():
    """A FLAIR-like head without skull of the template's tissues, and the template's own T1 on the same grid."""
    template = load_template(2)
    noise = np.random.default_rng(0).normal(0, 4, template.grid.shape)
    data = np.where(template.brain, 30 + 90 * template.white + 140 * template.grey + noise, 0)
    return scan_of(np.maximum(data, 0), template.grid, "flair.nii.gz"), template.t1 * 800


def moved_t1(flair, t1, move):
    """The T1 on another, oblique grid, after the head has moved by ``move``."""
    affine = turn((6, -9, 12)) @ np.diag([2.1, 2.5, 2.4, 1])
    affine[:3, 3] = middle(flair.grid) - affine[:3, :3] @ [45.5, 45.5, 39.5]
    grid = Grid((92, 92, 80), affine)
    data, _ = resample_oblique(t1, flair.grid, grid, np.linalg.inv(move), linear=True)
    return scan_of(data, grid, "t1.nii.gz")


def middle(grid):
    return (grid.affine @ [*((np.array(grid.shape) - 1) / 2), 1])[:3]


@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [((3, -4, 5), (4.0, -6.0, 3.0)), pytest.param((-12, 6, 9), (14.0, 9.0, -17.0), marks=pytest.mark.slow)],
)
def test_a_known_motion_is_found_within_half_a_voxel(flair, degrees, shift_mm):
    fixed, t1 = flair
    move = turn(degrees, shift_mm)
    found = Rigid(samples=15_000)(moved_t1(fixed, t1, move), fixed)
    assert found.how == "rigid"
    brain = np.argwhere(fixed.data > 0)
    inside_mm = fixed.grid.affine @ np.c_[brain, np.ones(len(brain))].T
    apart_mm = np.linalg.norm(((found.move - move) @ inside_mm)[:3], axis=0)
    print(f"at most {apart_mm.max():.2f} mm off")
    assert apart_mm.max() < 1.0  # half of 2 mm
    overlap = np.corrcoef(found.data[fixed.data > 0], t1[fixed.data > 0])[0, 1]
    assert overlap > 0.9  # two interpolations reduce the overlap
    assert found.rotation_degrees == pytest.approx(np.degrees(np.arccos((np.trace(move[:3, :3]) - 1) / 2)), abs=0.5)


def test_a_registration_is_reproducible(flair):
    fixed, t1 = flair
    moving = moved_t1(fixed, t1, turn((3, -4, 5), (4.0, -6.0, 3.0)))
    quick = Rigid(shrink=(4,), samples=5_000, iterations=10)
    one, two = quick(moving, fixed), quick(moving, fixed)
    np.testing.assert_array_equal(one.move, two.move)
    np.testing.assert_array_equal(one.data, two.data)


def test_headers_place_an_oblique_modality(flair):
    fixed, t1 = flair
    moving = moved_t1(fixed, t1, np.eye(4))
    found = ByHeader()(moving, fixed)
    assert (found.how, found.rotation_degrees) == ("header", 0)
    assert found.shift_mm(fixed.grid) == 0
    inside = fixed.data > 0
    assert np.corrcoef(found.data[inside], t1[inside])[0, 1] > 0.93
    assert np.corrcoef(found.data[inside], np.roll(t1, 2, axis=0)[inside])[0, 1] < 0.9


def test_oblique_resampling_keeps_a_ramp_and_returns_its_coverage():
    source = Grid((20, 21, 22), turn((10, -20, 30), (4, 5, 6)) @ np.diag([1.2, 0.8, 1.5, 1]))
    target = Grid((25, 24, 23), turn((-5, 8, 0), (-3, 2, 9)) @ np.diag([1.0, 1.1, 0.9, 1]))
    move = turn((2, 3, 4), (1, -2, 0.5))

    def ramp(grid, move):
        index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
        world = index @ (move @ grid.affine)[:3, :3].T + (move @ grid.affine)[:3, 3]
        return world @ np.array([1.0, -2.0, 0.5]) + 100

    found, covered = resample_oblique(ramp(source, np.eye(4)), source, target, move, linear=True)
    step = np.linalg.inv(source.affine) @ move @ target.affine
    index = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), axis=-1)
    place = index @ step[:3, :3].T + step[:3, 3]
    between = ((place >= 0) & (place <= np.array(source.shape) - 1)).all(axis=-1)
    assert 100 < between.sum() < covered.sum() < covered.size
    np.testing.assert_allclose(found[between], ramp(target, move)[between], atol=1e-3)
    np.testing.assert_array_equal(covered, ((place >= -0.5) & (place <= np.array(source.shape) - 0.5)).all(axis=-1))
    assert (found[~covered] == 0).all()


def test_another_grid_is_refused_without_registration(flair):
    fixed, t1 = flair
    with pytest.raises(ScanError, match=r"t1\.nii\.gz.*flair\.nii\.gz.*registration=by_header"):
        SameGrid()(moved_t1(fixed, t1, np.eye(4)), fixed)
    same = scan_of(t1, fixed.grid)
    for registration in (SameGrid(), ByHeader()):
        found = registration(same, fixed)
        assert (found.how, found.covered.all()) == ("same grid", True)
        np.testing.assert_array_equal(found.data, same.data)


def test_a_modality_without_overlap_is_refused(flair):
    fixed, t1 = flair
    away = fixed.grid.affine.copy()
    away[0, 3] += 1000
    with pytest.raises(ScanError, match=r"without overlap.*registration=rigid"):
        ByHeader()(scan_of(t1, Grid(fixed.grid.shape, away), "t1.nii.gz"), fixed)


def test_channels_are_stacked_on_the_flairs_grid_with_zeros_outside(flair, tmp_path):
    fixed, t1 = flair
    full = moved_t1(fixed, t1, np.eye(4))
    half = scan_of(full.data[:, :, 32:], full.grid.cropped((0, 0, 32), full.grid.shape))
    for name, scan in (("flair", fixed), ("t1", half)):
        nib.save(nib.Nifti1Image(scan.data, scan.grid.affine), tmp_path / f"{name}.nii.gz")
    pipeline = Pipeline(NoExtraction(), NoBiasField(), ByHeader(), CropResize(32), ZScore("brain"), "intersection")
    files = [tmp_path / "flair.nii.gz", tmp_path / "t1.nii.gz"]
    seen = pipeline.model_input(files, None)
    assert seen.image.shape == (2, 32, 32, 32)
    np.testing.assert_array_equal(seen.image[0], pipeline.model_input(files[:1], None).image[0])
    covered = (seen.image[1] != 0) & seen.brain_mask
    assert 0.4 < covered.sum() / seen.brain_mask.sum() < 0.8
    assert seen.image[1][covered].mean() == pytest.approx(0, abs=1e-4)
    assert seen.image[1][covered].std() == pytest.approx(1, abs=1e-4)
    modality = seen.figures["modalities"][1]
    assert modality["covered_share"] == pytest.approx(covered.sum() / seen.brain_mask.sum(), abs=0.02)
    assert (modality["registration"], modality["file"]) == ("header", "t1.nii.gz")
    assert read_scan(files[0]).grid.distance_mm(seen.geometry.native) == 0
