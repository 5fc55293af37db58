"""Orientation, mirror images and intensities of single scans, and comparisons between scans."""

import numpy as np
import pytest

from joint_seg_cls.audit.flips import mirrored
from joint_seg_cls.audit.prepared import mirror_centre
from joint_seg_cls.scan import Geometry, Grid


def test_a_mirrored_mask_is_reported_with_evidence(audit, of):
    found = audit(3, {1: lambda files: files.put("lesion_mask", files.lesion[::-1])})
    (reported,) = of(found, "left-right mismatch")
    assert (reported.severity, reported.cases) == ("warning", ("s1",))
    assert "36 lesion voxels" in reported.found
    assert "the mask fits the mirrored scan clearly better" in reported.found


def test_a_mask_with_other_axes_is_reported(audit, of):
    found = audit(2, {0: lambda files: files.put("lesion_mask", np.roll(files.lesion, 6, axis=1)[:, ::-1])})
    assert not of(found, "left-right mismatch")
    spoil = {0: lambda files: (files.put("flair", np.roll(files.scan, 4, 1)), files.put("lesion_mask", files.lesion))}
    assert not of(audit(2, spoil), "left-right mismatch")


@pytest.mark.parametrize("how", ["mirrored in space", "sign of one axis"])
def test_contradictory_affines_are_reported(audit, of, how):
    def turn(files):
        if how == "mirrored in space":
            files.affine = np.diag([-1.0, 1, 1, 1]) @ files.affine
        else:
            files.affine[:3, 0] *= -1
        files.put("lesion_mask", files.lesion, files.affine)

    (reported,) = of(audit(2, {0: turn}), "left-right mismatch")
    assert reported.severity == "error"
    assert "disagree about left and right" in reported.found


def test_hand_computed_brightness_of_mask_and_mirror_image():
    image = np.zeros((9, 5, 5), np.float32)
    lesions = np.zeros(image.shape, bool)
    lesions[1, :, :] = True  # mirrored about voxel 4: layer 7
    lesions[4, 2, 2] = True  # equals its mirror image
    image[1], image[7] = 3, 12
    (across,) = [one for one in mirrored(image, lesions, 2.0, 5.0, np.array([4.0, 2, 2])) if one.axis == "left-right"]
    assert (across.voxels, across.own, across.mirror) == (25, pytest.approx(0.2), pytest.approx(2.0))
    assert across.is_suspicious
    few = lesions & (np.arange(5) < 3)  # 15 voxels on one side
    assert "left-right" not in [one.axis for one in mirrored(image, few, 2.0, 5.0, np.array([4.0, 2, 2]))]


def test_the_centre_of_the_scans_grid_in_network_voxels():
    native = Grid((21, 11, 7), np.diag([-2.0, 3.0, 1.0, 1.0]))
    model = native.canonical().cropped((5, 0, 1), (15, 11, 7)).resized((5, 22, 6))
    # x: the middle voxel 10 of 21 is 10 in RAS+, 5 after the crop; halved, its centre is at (5 + 0.5) / 2 - 0.5
    # y doubles: voxel 5 becomes 10.5; z only moves by the voxel that was cut
    np.testing.assert_allclose(mirror_centre(Geometry(native, model)), [2.25, 10.5, 2.0])


def test_a_header_without_orientation_is_reported(audit, of):
    (reported,) = of(audit(2, {0: lambda files: files.put("flair", files.scan, codes=(0, 0))}), "orientations")[:1]
    assert (reported.severity, reported.cases) == ("warning", ("s0",))
    assert "left and right are uncertain" in reported.found


def test_different_sform_and_qform_are_reported(audit, of):
    import nibabel as nib

    def turned(files):
        image = nib.load(files.folder / files.row["flair"])
        image.set_qform(np.diag([-1.0, 1, 1, 1]) @ image.affine, code=1)
        nib.save(image, files.folder / files.row["flair"])

    reported = [f for f in of(audit(2, {0: turned}), "orientations") if f.severity == "warning"]
    assert len(reported) == 1
    assert "axes LPS and RPS" in reported[0].found


def test_mixed_orientations_are_counted(audit, of):
    def turned(files):
        affine = files.affine @ np.diag([-1.0, 1, 1, 1])
        files.put("flair", files.scan, affine)
        files.put("lesion_mask", files.lesion, affine)

    (reported,) = of(audit(3, {2: turned}), "orientations")
    assert (reported.severity, reported.found) == ("note", "axes are LPS (2), RPS (1)")


def test_voxels_in_metres_and_slabs_are_reported(audit, of):
    def slab(files):
        files.put("flair", files.scan[:, :, 10:20])
        files.put("lesion_mask", files.lesion[:, :, 10:20])

    def fine(files):
        files.affine[:3] *= 0.01
        files.put("flair", files.scan, files.affine)
        files.put("lesion_mask", files.lesion, files.affine)

    reported = of(audit(3, {1: slab, 2: fine}), "grids")
    assert [(f.severity, f.cases[0], f.found) for f in reported] == [
        ("warning", "s1", "a field of view of 186 x 210 x 60 mm"),
        ("warning", "s2", "voxels of 0.06 x 0.06 x 0.06 mm"),
    ]


def test_negative_clipped_and_standardised_intensities_are_reported(audit, of):
    def standardised(files):
        scan = files.scan.astype(np.float32)
        brain = scan > 0
        scan[brain] = (scan[brain] - scan[brain].mean()) / scan[brain].std()
        files.put("flair", scan)

    def negative(files):
        scan = files.scan.copy()
        scan[10:20, 12:22, 13:15] = -40  # 200 of about 6,000 voxels of tissue
        files.put("flair", scan)

    spoil = {
        0: standardised,
        1: negative,
        2: lambda files: files.put("flair", np.minimum(files.scan, 530)),
        3: lambda files: files.put("flair", files.scan.astype(np.float32) * 500),
    }
    reported = of(audit(6, spoil), "intensities")
    assert [(f.severity, f.cases) for f in reported] == [
        ("warning", ("s1",)),
        ("warning", ("s2",)),
        ("warning", ("s3",)),
        ("note", ("s0",)),
    ]
    assert reported[0].found.endswith("negative, down to -40")
    assert "at exactly 530: clipped" in reported[1].found
    assert "already standardised" in reported[3].found


def test_levels_are_compared_by_factors_of_the_median(facts):
    from joint_seg_cls.audit.acquisition import check_levels

    scans = [
        facts(f"c{i}", level=level) for i, level in enumerate((100.0, 110.0, 90.0, 100.0, 2000.0, 90000.0, 0.5, -3.0))
    ]
    reported = {finding.severity: finding.cases for finding in check_levels(scans)}
    assert reported == {"warning": ("c5", "c6"), "note": ("c4",)}
    assert check_levels(scans[4:6]) == []
