"""Quality measures: hand-counted, written with every case, and summarised at the end."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.preprocess import counted_warnings, warnings_of
from joint_seg_cls.preprocess.intensity import extremes
from joint_seg_cls.preprocess.quality import lesion_figures
from joint_seg_cls.scan import Geometry, Grid

NATIVE = Grid((40, 40, 40), np.diag([-1.0, -1.0, 1.0, 1.0]))
FIGURES = {
    "spacing_mm": [1.0, 1.0, 3.0],
    "brain_ml": 1400.0,
    "brain_how": "bet",
    "modalities": [{"file": "a_flair.nii.gz", "covered_share": 1.0, "rotation_degrees": 0.0, "shift_mm": 0.0}],
    "lesions": None,
}


def test_lesions_are_counted_before_and_after_and_lost_ones_reported():
    geometry = Geometry(NATIVE, NATIVE.canonical().cropped((0, 0, 0), (32, 40, 40)).resized((16, 20, 20)))
    lesions = np.zeros(NATIVE.shape, bool)
    # the network's voxels are 2 mm: nearest takes odd canonical indices; x runs the other way in the scan
    lesions[20:24, 20:24, 20:24] = True  # 64 mm3, stays
    lesions[24, 24, 24] = True  # touches it at a corner: the same lesion
    lesions[30, 10, 10] = True  # a single voxel
    lesions[2:4, 30:32, 30:32] = True  # at the scan's low x, that is, beyond canonical x = 32: cropped
    seen = geometry.to_model(lesions, linear=False)
    single_stays = (
        seen.sum() * 8 != geometry.to_model(lesions & (np.arange(40) != 10)[:, None, None].T, linear=False).sum() * 8
    )
    figures = lesion_figures(lesions, seen, geometry, raters=2)
    assert figures["raters"] == 2
    assert figures["native_count"] == 3
    assert figures["native_ml"] == pytest.approx((64 + 1 + 1 + 8) / 1000)
    assert figures["cropped"] == 1
    assert figures["erased"] == (1 if single_stays else 2)
    assert figures["erased_ml"] == pytest.approx((8 + (0 if single_stays else 1)) / 1000)
    assert figures["model_count"] == (2 if single_stays else 1)
    assert figures["model_ml"] == pytest.approx(seen.sum() * 8 / 1000)


@pytest.mark.parametrize("offset", [0, 1])
def test_the_resize_can_erase_a_single_voxel(offset):
    geometry = Geometry(NATIVE, NATIVE.canonical().resized((20, 20, 20)))
    kept = 0
    for corner in np.ndindex(2, 2, 2):
        lesions = np.zeros(NATIVE.shape, bool)
        lesions[tuple(np.array(corner) + 10 + offset)] = True
        kept += 1 - lesion_figures(lesions, geometry.to_model(lesions, linear=False), geometry, 1)["erased"]
    assert kept == 1  # one of the eight voxels under each of the network's


def test_without_lesions_none_are_lost():
    none = np.zeros(NATIVE.shape, bool)
    geometry = Geometry(NATIVE, NATIVE.canonical().resized((16, 16, 16)))
    figures = lesion_figures(none, geometry.to_model(none, linear=False), geometry, 1)
    assert {figures[name] for name in ("native_count", "native_ml", "model_count", "erased", "cropped")} == {0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"brain_ml": 2100.0}, "brain volume 2100 mL (bet) is outside 900-1900"),
        ({"brain_ml": 700.0}, "brain volume 700 mL"),
        ({"spacing_mm": [0.5, 0.5, 5.0]}, "slices of 5.0 mm"),
        ({"lesions": {"erased": 14, "cropped": 0, "native_count": 20}}, "the resize erases 14 of 20 lesions"),
        (
            {"lesions": {"erased": 2, "cropped": 2, "native_count": 20}},
            "2 of 20 lesions are outside the box around the brain",
        ),
        ({"lesions": {"erased": 0, "cropped": 0, "native_count": 20}}, None),
    ],
)
def test_warnings_describe_findings_to_check(change, message):
    found = warnings_of(FIGURES | change)
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


@pytest.mark.parametrize(("erased_ml", "warns"), [(0.4, False), (2.0, True)])
def test_lost_lesions_are_a_warning_only_if_larger_than_model_voxels(erased_ml, warns):
    lesions = {"erased": 10, "cropped": 0, "native_count": 20, "erased_ml": erased_ml}
    found = warnings_of(FIGURES | {"lesions": lesions, "model_spacing_mm": [3.0, 3.0, 3.0]})
    assert bool(found) == warns  # 27 mm3 a voxel; 40 and 200 mm3 a lesion


def test_similar_warnings_are_counted():
    thick = [(f"s{number}", f"slices of {4 + number}.5 mm are thicker than small lesions") for number in range(4)]
    other = [("s9", "brain volume 700 mL"), ("s8", "brain volume 2100 mL")]
    assert counted_warnings([*thick, *other]) == [
        "4 scans, such as s0: slices of 4.5 mm are thicker than small lesions",
        "s9: brain volume 700 mL",
        "s8: brain volume 2100 mL",
    ]


@pytest.mark.parametrize(
    ("brightest", "count", "warns"), [(180, 1, False), (2000, 1, True), (3e6, 1, True), (260, 2000, True)]
)
def test_voxels_of_extreme_intensity_are_a_warning(brightest, count, warns):
    values = np.random.default_rng(0).normal(100, 10, 100_000)
    values[:3000] += 40  # lesions
    values[-count:] = brightest
    modality = FIGURES["modalities"][0] | extremes(values)
    found = warnings_of(FIGURES | {"modalities": [modality]})
    assert [("a_flair.nii.gz has voxels of extreme intensity" in warning) for warning in found] == [True] * warns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covered_share": 0.8}, "b_t1.nii.gz covers 80 % of the brain"),
        ({"rotation_degrees": 50.0}, "b_t1.nii.gz was rotated by 50 degrees"),
        ({"shift_mm": 45.0}, "shifted by 45 mm"),
        ({}, None),
    ],
)
def test_a_modality_with_implausible_motion_is_reported(change, message):
    other = FIGURES["modalities"][0] | {"file": "b_t1.nii.gz"} | change
    found = warnings_of(FIGURES | {"modalities": [*FIGURES["modalities"], other]})
    assert (found[0] if found else None) is None or message in found[0]
    assert bool(found) == (message is not None)


@pytest.fixture
def table(tmp_path):
    """Three stripped 'brains' of 0.5 mm; in the second, lesions of single voxels."""
    shape, affine = (60, 64, 56), np.diag([-0.5, -0.5, 0.5, 1])
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    brain = (((index - [30, 32, 28]) / [26, 28, 24]) ** 2).sum(axis=-1) < 1
    rng = np.random.default_rng(0)
    lines = ["subject\tflair\tlesion_mask\tdisease"]
    for number in range(3):
        scan = np.where(brain, rng.normal(100, 20, shape), 0).astype(np.float32)
        lesion = np.zeros(shape, np.uint8)
        lesion[28:36, 28:36, 24:32] = 1
        if number == 1:
            lesion[15:45:6, 15:48:6, 20] = 1
        for name, data in (("flair", scan), ("lesion", lesion)):
            nib.save(nib.Nifti1Image(data, affine), tmp_path / f"{number}_{name}.nii.gz")
        lines.append(f"s{number}\t{number}_flair.nii.gz\t{number}_lesion.nii.gz\tMS")
    (tmp_path / "cohort.tsv").write_text("\n".join(lines))
    return tmp_path / "cohort.tsv"


def test_prepare_writes_quality_measures_and_reports_lost_lesions(table, jsc, tmp_path):
    store = tmp_path / "store"
    code, _, err = jsc(
        "prepare", f"cohort={table}", f"store={store}", "image_size=16", "workers=0",
        "preprocess/brain=none", "preprocess/bias_field=none",
    )  # fmt: skip
    assert code == 0, err
    figures = json.loads((store / "s1" / "case.json").read_text())["provenance"]
    assert figures["sources"] == ["1_flair.nii.gz", "1_lesion.nii.gz"]
    assert (figures["axes"], figures["spacing_mm"], figures["shape"]) == ("LPS", [0.5, 0.5, 0.5], [60, 64, 56])
    assert figures["brain_ml"] == pytest.approx(4 / 3 * np.pi * 26 * 28 * 24 / 8000, rel=0.01)
    assert figures["brain_how"] == "stripped"
    assert figures["cropped_share"] == pytest.approx(1 - 51 * 55 * 47 / (60 * 64 * 56))
    assert figures["modalities"][0]["field_p99_over_p1"] is None
    lesions = figures["lesions"]
    assert lesions["erased"] > 10
    assert f"1 of 3 scans with a reference lose lesions at 16 x 16 x 16 ({lesions['erased']} of" in err
    assert f"worst s1: {lesions['erased']} of {lesions['native_count']}" in err
    assert "the resize erases" not in err  # single voxels: normal on a grid that is that coarse
    assert figures["warnings"] == [warning for warning in figures["warnings"] if "erases" not in warning]
    assert "s0: brain volume 9 mL (stripped) is outside" in err
    assert "0.0 MB per case" in err
    rows = pd.read_csv(store / "quality.tsv", sep="\t").set_index("case")
    assert list(rows.index) == ["s0", "s1", "s2"]
    assert rows.loc["s1", "lesions_erased"] == lesions["erased"]
    assert rows.loc["s0", "brain_ml"] == pytest.approx(figures["brain_ml"], rel=1e-4)
    assert str(tmp_path) not in (store / "quality.tsv").read_text() + (store / "s1" / "case.json").read_text()
