"""From a scan to a prepared case: crop, resize and z-score as in the paper, and invalid input."""

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import CohortError, ConfigError, ScanError, StoreError
from joint_seg_cls.preprocess import (
    ByHeader,
    CropResize,
    NoBiasField,
    NoExtraction,
    Pipeline,
    ZScore,
    combine_raters,
    prepare_cohort,
)
from joint_seg_cls.scan import PreparedStore, read_cohort, read_scan

AFFINE = np.array([[-2.0, 0.1, 0, 40], [0.1, -2.0, 0.2, 50], [0, 0.2, 3.0, -30], [0, 0, 0, 1]])
SHAPE = (31, 37, 23)


def brain_and_scan(seed=0):
    """A ball of brain with contrast in a field of exact zeros."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    brain = (((index - [14, 18, 11]) / [11, 14, 8]) ** 2).sum(axis=-1) < 1
    return brain, np.where(brain, rng.normal(100, 20, SHAPE), 0).astype(np.float32)


def pipeline(size=16, over="brain", raters="intersection"):
    return Pipeline(NoExtraction(), NoBiasField(), ByHeader(), CropResize(size), ZScore(over), raters)


@pytest.fixture
def cohort(tmp_path):
    def write(count=3, spoil=None, column="flair"):
        lines = ["subject,flair,lesion_mask,lesion_mask_2,disease,site"]
        for number in range(count):
            _, scan = brain_and_scan(number)
            lesion = np.zeros(SHAPE, np.uint8)
            lesion[12:16, 16:20, 9:13] = 1
            other = lesion.copy()
            other[12] = 0
            volumes = {"flair": scan, "lesion_mask": lesion, "lesion_mask_2": other}
            if spoil is not None and number == 1:
                volumes[column] = spoil(volumes[column])
            for name, data in volumes.items():
                nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / f"{number}_{name}.nii.gz")
            files = ",".join(f"{number}_{name}.nii.gz" for name in volumes)
            lines.append(f"s{number},{files},{('MS', 'NMOSD')[number % 2]},north")
        (tmp_path / "cohort.csv").write_text("\n".join(lines))
        return tmp_path / "cohort.csv"

    return write


def prepare(path, store, size=16, workers=0, **changes):
    pipe = pipeline(size, **changes)
    settings = {"layout": {"image_size": size}, **changes}
    kinds = {"classes": ("MS", "NMOSD"), "modalities": ("flair",)}
    return prepare_cohort(read_cohort(path), store, pipe, settings=settings, workers=workers, **kinds)


def test_model_image_is_the_brain_box_resized_and_z_scored(cohort):
    scan = read_scan(cohort(1).parent / "0_flair.nii.gz")
    brain = scan.data != 0
    seen = pipeline(32).model_input([scan.path], None)
    assert seen.image.shape == (1, 32, 32, 32)
    assert seen.image[0][seen.brain_mask].mean() == pytest.approx(0, abs=1e-5)
    assert seen.image[0][seen.brain_mask].std() == pytest.approx(1, abs=1e-5)
    assert (seen.image[0][~seen.brain_mask] == 0).all()
    # the box around the brain fills the cube: all six faces are touched
    for axis in range(3):
        touched = seen.brain_mask.any(axis=tuple(k for k in range(3) if k != axis))
        assert touched[0]
        assert touched[-1]
    back = seen.geometry.to_native(seen.brain_mask, linear=False)
    assert (back & brain).sum() * 2 / (back.sum() + brain.sum()) > 0.97
    assert seen.brain_ml == pytest.approx(brain.sum() * abs(np.linalg.det(AFFINE)) / 1000, rel=1e-5)


def test_z_score_over_the_volume_uses_all_voxels():
    brain, scan = brain_and_scan()
    scaled = ZScore("volume")(scan, brain)
    np.testing.assert_allclose(scaled, (scan - scan.mean()) / scan.std(), atol=1e-4)


def test_a_given_mask_precedes_nonzero_voxels(cohort, tmp_path):
    cohort(1)
    half = np.zeros(SHAPE, np.uint8)
    half[4:14] = brain_and_scan()[0][4:14]
    nib.save(nib.Nifti1Image(half, AFFINE), tmp_path / "half.nii.gz")
    seen = pipeline().model_input([tmp_path / "0_flair.nii.gz"], tmp_path / "half.nii.gz")
    assert seen.brain_ml == pytest.approx(half.sum() * abs(np.linalg.det(AFFINE)) / 1000, rel=1e-5)


def test_holes_in_a_stripped_brain_are_brain(tmp_path):
    brain, scan = brain_and_scan()
    scan[14, 18, 11] = 0
    nib.save(nib.Nifti1Image(scan, AFFINE), tmp_path / "hole.nii.gz")
    np.testing.assert_array_equal(NoExtraction()(read_scan(tmp_path / "hole.nii.gz"), None).mask, brain)


@pytest.mark.parametrize(("rule", "votes"), [("intersection", 3), ("majority", 2), ("union", 1)])
def test_raters_are_combined_by_votes(rule, votes):
    masks = np.random.default_rng(0).random((3, 4, 5, 6)) > 0.5
    np.testing.assert_array_equal(combine_raters(list(masks), rule), masks.sum(axis=0) >= votes)


def test_a_majority_of_two_raters_is_both():
    masks = [np.array([[[True, True, False]]]), np.array([[[True, False, False]]])]
    np.testing.assert_array_equal(combine_raters(masks, "majority"), [[[True, False, False]]])


def test_store_holds_every_case_with_labels_and_the_native_reference(cohort, tmp_path):
    done = prepare(cohort(3), tmp_path / "store")
    assert (done.new, done.kept) == (3, 0)
    store = PreparedStore(tmp_path / "store")
    assert [case.case for case in store.cases] == ["s0", "s1", "s2"]
    case = store.cases[1]
    assert (case.disease, case.columns, case.session) == ("NMOSD", {"site": "north"}, None)
    expected = np.zeros(SHAPE, bool)
    expected[13:16, 16:20, 9:13] = True  # both raters
    np.testing.assert_array_equal(case.lesion_mask_native(), expected)
    assert case.lesion_mask().shape == (16, 16, 16)
    assert case.lesion_mask().sum() > 0
    assert isinstance(case.image(), np.memmap)


def test_preparing_again_keeps_valid_cases_and_repeats_changed_ones(cohort, tmp_path):
    path = cohort(3)
    before = prepare(path, tmp_path / "store").store.content_hash
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "store").glob("*/image.npy")}
    again = prepare(path, tmp_path / "store")
    assert (again.new, again.kept) == (0, 3)
    assert again.store.content_hash == before
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    scan = nib.load(tmp_path / "2_flair.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(scan.dataobj) * 1.5, scan.affine), tmp_path / "2_flair.nii.gz")
    changed = prepare(path, tmp_path / "store")
    assert (changed.new, changed.kept) == (1, 2)
    assert changed.store.content_hash != before


def test_workers_change_nothing(cohort, tmp_path):
    path = cohort(3)
    one, two = prepare(path, tmp_path / "one"), prepare(path, tmp_path / "two", workers=2)
    assert one.store.content_hash == two.store.content_hash
    for a, b in zip(one.store.cases, two.store.cases, strict=True):
        np.testing.assert_array_equal(a.image(), b.image())


def test_a_store_with_other_settings_is_refused(cohort, tmp_path):
    path = cohort(2)
    prepare(path, tmp_path / "store")
    with pytest.raises(StoreError, match=r"image_size = 32.*image_size = 16.*another store="):
        prepare(path, tmp_path / "store", size=32)
    assert PreparedStore(tmp_path / "store").model_shape == (16, 16, 16)


def test_a_folder_with_other_files_is_refused(cohort, tmp_path):
    path = cohort(2)
    with pytest.raises(StoreError, match="other files"):
        prepare(path, tmp_path)


def test_a_removed_row_is_removed_from_the_store(cohort, tmp_path):
    path = cohort(3)
    prepare(path, tmp_path / "store")
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    prepare(path, tmp_path / "store")
    assert [case.case for case in PreparedStore(tmp_path / "store").cases] == ["s0", "s1"]


@pytest.mark.parametrize(
    ("spoil", "column", "message"),
    [
        (lambda d: np.where(d > 130, np.nan, d).astype(np.float32), "flair", "NaN"),
        (np.zeros_like, "flair", "constant"),
        (lambda d: np.stack([d, d], axis=-1), "flair", "3-D"),
        (lambda d: d + 1, "flair", "brain_mask"),
        (lambda d: d * 2, "lesion_mask", "0 and 1"),
        (lambda d: d[:-1], "lesion_mask", "grid"),
    ],
)
def test_one_invalid_scan_is_reported_and_the_others_are_kept(cohort, tmp_path, spoil, column, message):
    path = cohort(3, spoil, column)
    with pytest.raises(ScanError, match=f"1_{column}.*{message}"):
        prepare(path, tmp_path / "store")
    assert (tmp_path / "store" / "s2" / "case.json").is_file()
    with pytest.raises(StoreError, match="unfinished preparation"):
        _ = PreparedStore(tmp_path / "store").cases


def test_all_invalid_scans_are_reported(cohort, tmp_path):
    path = cohort(3)
    for number in (0, 2):
        (tmp_path / f"{number}_flair.nii.gz").write_bytes(b"nothing")
    with pytest.raises(CohortError) as error:
        prepare(path, tmp_path / "store")
    assert "2 invalid ones" in str(error.value)
    assert "0_flair" in str(error.value)
    assert "2_flair" in str(error.value)


@pytest.mark.parametrize(
    ("size", "nearest"), [(50, "48 x 48 x 48"), ((96, 100, 8), "96 x 96 x 16"), (0, "16 x 16 x 16")]
)
def test_a_size_that_is_not_divisible_by_16_is_refused_with_the_nearest(size, nearest):
    with pytest.raises(ConfigError, match=nearest):
        CropResize(size)


def test_an_empty_brain_mask_is_refused(cohort, tmp_path):
    cohort(1)
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), tmp_path / "empty.nii.gz")
    with pytest.raises(ScanError, match="empty one"):
        pipeline().model_input([tmp_path / "0_flair.nii.gz"], tmp_path / "empty.nii.gz")
