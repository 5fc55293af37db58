"""A simulated head around the simulated brain: layers, eyes, neck, and a table without brain masks."""

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from joint_seg_cls.phantom import NoSkull, Shell, simulate_scans
from joint_seg_cls.preprocess import ExtractedBrain, NoExtraction
from joint_seg_cls.scan import read_cohort, read_mask, read_scan


@pytest.fixture(scope="module")
def cohort(preset):
    return preset("clear", "subjects=3", "seed=4")


@pytest.fixture(scope="module")
def pair(cohort):
    """Return the same visit without and with its head."""
    return tuple(next(simulate_scans(cohort, 2, spacing_mm=2, raters=2, skull=skull)) for skull in (NoSkull(), Shell()))


def test_inside_the_brain_the_head_equals_the_stripped_scan(pair):
    bare, head = pair
    np.testing.assert_array_equal(head.flair[head.brain_mask], bare.flair[bare.brain_mask])
    for ours, theirs in zip(head.lesion_masks, bare.lesion_masks, strict=True):
        assert ours.sum() == theirs.sum() > 0
    voxel = np.argwhere(bare.brain_mask)[0]
    wide = np.argwhere(head.brain_mask)[0]
    np.testing.assert_allclose(bare.grid.affine @ [*voxel, 1], head.grid.affine @ [*wide, 1], atol=1e-6)


def test_stripped_scans_keep_the_values_stated_in_the_changelog(pair):
    bare = pair[0]
    assert bare.flair.shape == (86, 106, 90)
    assert int(bare.brain_mask.sum()) == pytest.approx(231707, abs=5)  # processors may round otherwise
    assert int(bare.flair.astype(int).sum()) == pytest.approx(117769368, rel=1e-5)
    first = [178, 411, 358, 547, 484, 559, 567, 532, 498, 577, 554, 675]
    np.testing.assert_allclose(bare.flair[bare.brain_mask][::20000], first, atol=2)


def test_the_default_is_without_skull(cohort, pair):
    plain = next(simulate_scans(cohort, 2, spacing_mm=2, raters=2))
    np.testing.assert_array_equal(plain.flair, pair[0].flair)
    np.testing.assert_array_equal(plain.grid.affine, pair[0].grid.affine)


def canonical(scan):
    """Return the scan's values, brain and voxel size with the axes turned to RAS+."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(scan.grid.affine), nib.orientations.axcodes2ornt("RAS"))
    values, brain = (nib.apply_orientation(array, turn) for array in (scan.flair, scan.brain_mask))
    return values, brain, np.array(scan.grid.canonical().spacing_mm)


def test_layers_are_fluid_bone_marrow_bone_fat_and_air(cohort):
    values, brain, spacing_mm = canonical(next(simulate_scans(cohort, 3, spacing_mm=2, raters=1, skull=Shell())))
    away_mm = ndimage.distance_transform_edt(~brain, sampling=spacing_mm)
    upper = np.zeros_like(brain)
    middle = int(np.argwhere(brain)[:, 2].mean())
    upper[:, :, middle : middle + 6] = True  # above the ears the layers follow the brain
    white = np.percentile(values[brain], 60)
    rings = [upper & (away_mm > step) & (away_mm <= step + 1) for step in range(1, 25)]
    profile = np.array([np.median(values[ring]) / white for ring in rings])
    scalp = profile.argmax()
    inner = profile[:scalp].argmin()
    marrow = inner + profile[inner : scalp - 2].argmax()
    outer = marrow + profile[marrow:scalp].argmin()
    assert inner < marrow < outer < scalp
    assert profile[inner] < 0.3
    assert profile[marrow] > profile[outer] + 0.1
    assert profile[scalp] > profile[marrow] + 0.1
    assert profile[-1] < 0.1


def test_the_face_is_in_front_and_the_field_of_view_truncates_the_neck(pair):
    values, brain, _ = canonical(pair[1])
    white = np.percentile(values[brain], 60)
    tissue = ndimage.binary_opening(values > 0.25 * white)
    assert tissue[:, :, 0].mean() > 0.08  # the neck continues below
    assert tissue[:, :, -1].mean() < 0.01  # there is air above the head
    lowest = int(np.argwhere(brain)[:, 2].min())
    in_front = np.argwhere(brain[:, :, lowest + 8])[:, 1].max() + 8
    assert tissue[:, in_front:, lowest + 8].mean() > 0.1


def test_the_skull_is_detected(pair):
    from pathlib import Path

    from joint_seg_cls.errors import ScanError
    from joint_seg_cls.scan import Scan

    head = pair[1]
    scan = Scan(Path("head.nii.gz"), head.flair.astype(np.float32), head.grid, nib.Nifti1Header())

    class Found:
        name = "found"

        def __call__(self, scan):
            return head.brain_mask

    assert ExtractedBrain(Found())(scan, None).how == "found"
    with pytest.raises(ScanError, match="a head with its skull"):
        NoExtraction()(scan, None)


def test_the_command_makes_heads_without_brain_masks_in_the_table(jsc, digests, tmp_path):
    words = "subjects=1", "spacing_mm=2", "workers=0", "skull=shell"
    for name, more in (("hidden", ()), ("again", ()), ("named", ("brain_masks=true",))):
        code, _, err = jsc("phantom", f"out={tmp_path / name}", *words, *more)
        assert code == 0, err
    hidden, named = (read_cohort(tmp_path / name / "cohort.tsv") for name in ("hidden", "named"))
    assert all(case.brain_mask is None for case in hidden)
    assert all(case.columns["skull_stripped"] == "false" for case in (*hidden, *named))
    assert digests(tmp_path / "hidden") == digests(tmp_path / "again")
    for case in named:
        scan = read_scan(case.images[0])
        assert read_mask(case.brain_mask, scan.grid).sum() * scan.grid.voxel_ml > 800
        assert (scan.data == 0).mean() < 0.05  # noise around, as from a scanner
    assert "with skull" in (tmp_path / "hidden" / "README.txt").read_text()


def test_heads_are_not_mixed_with_stripped_scans(jsc, tmp_path):
    words = f"out={tmp_path / 'cohort'}", "subjects=1", "spacing_mm=2", "workers=0"
    assert jsc("phantom", *words)[0] == 0
    code, _, err = jsc("phantom", *words, "skull=shell")
    assert code == 2
    assert "skull" in err


def test_brain_masks_of_stripped_scans_can_be_omitted(jsc, tmp_path):
    words = f"out={tmp_path / 'cohort'}", "subjects=1", "spacing_mm=2", "workers=0"
    assert jsc("phantom", *words, "brain_masks=false")[0] == 0
    (case,) = read_cohort(tmp_path / "cohort" / "cohort.tsv")
    assert (case.brain_mask, case.columns["skull_stripped"]) == (None, "true")


def test_an_unknown_skull_is_refused(jsc, tmp_path):
    code, _, err = jsc("phantom", f"out={tmp_path / 'cohort'}", "skull=bone")
    assert code == 2
    assert "skull/bone" in err
