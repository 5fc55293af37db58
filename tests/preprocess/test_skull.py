"""Detection of the skull in scans with a background of exactly 0: by layers, not by volume."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess import ExtractedBrain, NoExtraction, detect_skull
from joint_seg_cls.scan import Grid, Scan, read_mask, read_scan

SCANS = os.environ.get("JSC_TEST_SCANS")
#: Outer edge of each layer of a small head, in millimetres outside its brain of 1,000 mL, and its brightness.
LAYERS = ((0.0, 1.0), (2.0, 0.15), (6.0, 0.08), (9.0, 1.2), (11.0, 0.6))
RADII_MM = np.array([60.0, 76.0, 53.0])


def head(axes="RAS", spacing=(1.5, 1.5, 5.0), until=None, bottom_mm=-200.0, seed=0):
    """A head of ellipsoids, its layers up to number ``until``, in slices of 5 mm; exactly 0 around it."""
    order = ["RLAPSI".index(axis) // 2 for axis in axes]
    shape = tuple(int(2 * (RADII_MM[k] + 20) / step) for k, step in zip(order, spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (k, step, axis) in enumerate(zip(order, spacing, axes, strict=True)):
        affine[k, column] = step if axis in "RAS" else -step
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    position = np.einsum("ij,jxyz->ixyz", affine[:3, :3], index) + affine[:3, 3][:, None, None, None]
    scaled = np.linalg.norm(position / RADII_MM[:, None, None, None], axis=0)
    outside_mm = (scaled - 1) * np.linalg.norm(position, axis=0) / np.maximum(scaled, 1e-6)
    rng = np.random.default_rng(seed)
    image = np.zeros(shape)
    for edge, brightness in reversed(LAYERS[:until]):
        image[outside_mm < edge] = brightness
    folds = ndimage.gaussian_filter(rng.normal(size=shape), [2.5 / step for step in spacing])
    sulci = (np.abs(folds) < 0.35 * folds.std()) & (outside_mm < 0) & (outside_mm > -15)
    image[sulci] = 0.15
    noisy = np.hypot(image + rng.normal(0, 0.03, shape), rng.normal(0, 0.03, shape)) * 400
    shown = (image > 0) & (position[2] > bottom_mm)
    return np.where(shown, np.maximum(noisy, 1), 0).astype(np.float32), Grid(shape, affine)


WAYS = [
    {},
    {"axes": "LPS"},
    {"axes": "PSR"},
    {"axes": "RSA"},
    {"spacing": (1.5, 1.5, 1.5)},
    {"spacing": (0.9, 0.9, 7.0)},
    {"bottom_mm": -10.0},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_small_head_is_distinguished_from_its_brain(way):
    image, grid = head(**way)
    assert float((image != 0).sum()) * grid.voxel_ml < 1900
    assert detect_skull(image, grid)[0] == "present"
    assert detect_skull(*head(**way, until=1))[0] == "absent"
    assert detect_skull(*head(**way, until=2))[0] == "absent"  # with a margin of fluid


def test_a_standardised_stripped_scan_is_a_brain():
    image, grid = head(until=1)
    values = image[image != 0]
    assert detect_skull(np.where(image != 0, (image - values.mean()) / values.std(), 0), grid)[0] == "absent"


class Middle:
    name = "middle"

    def __call__(self, scan):
        return scan.data > 300


def test_a_small_head_is_extracted_or_refused_with_a_remedy():
    image, grid = head()
    scan = Scan(Path("small_flair.nii.gz"), image, grid, nib.Nifti1Header())
    assert ExtractedBrain(Middle())(scan, None).how == "middle"
    with pytest.raises(ScanError, match=r"a head with its skull.*preprocess/brain=bet.*brain_mask"):
        NoExtraction()(scan, None)


@pytest.mark.parametrize("share", [0.25, float("nan")])
def test_an_unclear_scan_is_prepared_with_a_warning_that_names_the_remedy(monkeypatch, share):
    monkeypatch.setattr("joint_seg_cls.preprocess.skull.skull_share", lambda *_: share)
    image, grid = head(until=1)
    scan = Scan(Path("flair.nii.gz"), image, grid, nib.Nifti1Header())
    for finder, how in ((NoExtraction(), "stripped"), (ExtractedBrain(Middle()), "middle")):
        found = finder(scan, None)
        assert found.how == how
        assert "not clear whether this scan includes the skull" in found.doubt
        assert "column brain_mask" in found.doubt
    assert NoExtraction()(scan, image > 0).doubt == ""


@pytest.mark.skipif(not SCANS, reason="JSC_TEST_SCANS does not name a folder with ms3seg/ and open_ms/ (real scans)")
def test_every_real_scan_is_classified_correctly_with_and_without_skull():
    root = Path(SCANS or ".")
    found = {}
    for path in sorted([*root.glob("ms3seg/*_flair.nii.gz"), *root.glob("open_ms/raw/*_flair.nii.gz")]):
        scan = read_scan(path)
        brain = read_mask(path.with_name(path.name.replace("flair", "brain_mask")), scan.grid, of="brain")
        head_mask = ndimage.binary_closing(scan.data > 0.12 * np.percentile(scan.data, 98), iterations=3)
        shown = {"head": ndimage.binary_fill_holes(head_mask) & (scan.data > 0), "brain": brain & (scan.data > 0)}
        for kind, mask in shown.items():
            found[path.name, kind] = detect_skull(np.where(mask, scan.data, 0), scan.grid)[0]
    for path in sorted(root.glob("open_ms/stripped/*_flair.nii.gz")):
        scan = read_scan(path)
        found[path.name, "brain"] = detect_skull(scan.data, scan.grid)[0]
    expected = {"head": "present", "brain": "absent"}
    assert {name: skull for name, skull in found.items() if skull != expected[name[1]]} == {}
