"""Anatomies from label maps: formats, conversion of labels, and invalid files."""

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.errors import CohortError, InputError
from joint_seg_cls.phantom import LabelMaps
from joint_seg_cls.phantom.tissue import Tissue, from_freesurfer, is_brain


@pytest.fixture
def only(tmp_path, write_labels):
    """Return a function that writes one label map to a new folder and returns the folder's anatomies."""

    def written(array, affine=None):
        folder = tmp_path / f"folder {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_labels(folder / "one.nii.gz", array, affine)
        return LabelMaps(folder)

    return written


def test_freesurfer_labels_become_tissues_and_others_are_reported():
    numbers = np.array([0, 2, 41, 3, 1030, 11101, 3005, 4, 43, 14, 15, 16, 251, 24, 31, 507, 9999, -3])[:, None, None]
    tissue, unknown = from_freesurfer(numbers)
    expected = [
        *(Tissue.AIR, Tissue.WHITE, Tissue.WHITE, Tissue.CORTEX, Tissue.CORTEX, Tissue.CORTEX, Tissue.WHITE),
        *(Tissue.LATERAL_VENTRICLE, Tissue.LATERAL_VENTRICLE, Tissue.THIRD_VENTRICLE, Tissue.FOURTH_VENTRICLE),
        *(Tissue.BRAIN_STEM, Tissue.WHITE, Tissue.FLUID, Tissue.CHOROID_PLEXUS, Tissue.OUTSIDE + 7, 0, 0),
    ]
    assert tissue[:, 0, 0].tolist() == expected
    assert unknown == [-3, 9999]


@pytest.mark.parametrize("name", ["head.nii.gz", "head.nii", "head.mgz"])
def test_a_map_is_read_from_every_format_and_reoriented_to_ras(tmp_path, name, labels, write_labels):
    head_labels = labels()
    turned = head_labels[::-1].transpose(1, 0, 2)
    write_labels(tmp_path / name, turned, np.array([[0, -1, 0, 5], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    (tmp_path / "plain").mkdir()
    write_labels(tmp_path / "plain" / "one.nii.gz", head_labels)
    found, plain = (LabelMaps(folder).head(0) for folder in (tmp_path, tmp_path / "plain"))
    assert found.tissue.shape == plain.tissue.shape
    assert (found.tissue == plain.tissue).mean() > 0.999


def test_other_voxel_sizes_are_resampled_to_a_millimetre(only, labels):
    coarse = only(labels(0.625), np.diag([1.6, 1.6, 1.6, 1.0])).head(0)
    fine = only(labels()).head(0)
    volumes = [np.count_nonzero(is_brain(head.tissue)) for head in (coarse, fine)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_zones_are_derived_from_the_labels(only, labels):
    atlas = only(labels()).head(0).atlas
    ventricle = atlas.wall_mm["lateral_ventricle"]
    assert ventricle[atlas.zones["periventricular"]].max() <= 2.3
    assert ventricle[atlas.zones["deep"]].min() > 5
    assert not (atlas.zones["juxtacortical"] & ~atlas.white).any()
    for low, high in (("medulla", "pons"), ("pons", "midbrain")):
        assert np.argwhere(atlas.zones[low])[:, 2].max() <= np.argwhere(atlas.zones[high])[:, 2].min()
    small = {"aqueduct", "area_postrema", "hypothalamus", "callosum"}  # which these ellipsoids may lack
    assert [name for name, zone in atlas.zones.items() if not zone.any() and name not in small] == []


def without(*numbers):
    return lambda head: np.where(np.isin(head, numbers), 0, head)


@pytest.mark.parametrize(
    ("changed", "affine", "named"),
    [
        (without(4, 43), None, "lateral ventricles"),
        (without(2, 41), None, "white matter"),
        (lambda head: np.where(head > 0, head + 20_000, 0), None, "20002"),
        (lambda head: np.clip(head, 0, 1), None, "the numbers 1"),
        (np.zeros_like, None, "an empty one"),
        (lambda head: head, np.diag([4.0, 1.0, 1.0, 1.0]), "4.00 x 1.00 x 1.00 mm"),
        (lambda head: head[:, :, :1], None, "3-D"),
        (lambda head: np.stack([head[:40, :40, :40]] * 2, axis=-1), None, "3-D"),
    ],
    ids=["no ventricles", "no white matter", "other numbers", "a mask", "empty", "coarse", "flat", "4-D"],
)
def test_a_map_without_a_brain_is_refused(only, labels, changed, affine, named):
    with pytest.raises(InputError) as refused:
        only(changed(labels()), affine).head(0)
    output = str(refused.value)
    assert named in output
    assert "one.nii.gz" in output
    assert output.count("expected") == 1
    assert "\n" not in output


def test_probabilities_and_damaged_files_are_refused(tmp_path, labels):
    nib.save(nib.Nifti1Image((labels() / 7).astype(np.float32), np.eye(4)), tmp_path / "share.nii.gz")
    with pytest.raises(InputError, match="integer labels"):
        LabelMaps(tmp_path).head(0)
    (tmp_path / "share.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="a damaged file or another format"):
        LabelMaps(tmp_path).head(0)


def test_a_folder_without_label_maps_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    for folder, found in (
        (tmp_path, "found none"),
        (tmp_path / "absent", "no such folder"),
        (tmp_path / "notes.txt", "a file"),
    ):
        with pytest.raises(CohortError, match=found):
            LabelMaps(folder).count()
