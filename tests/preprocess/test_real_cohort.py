"""Real scans from a cohort table to a prepared store: with and without skull, on oblique and thick grids."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from joint_seg_cls.config.build import build
from joint_seg_cls.preprocess import ByHeader, Rigid
from joint_seg_cls.scan import PreparedStore, read_cohort, read_mask, read_scan

SCANS = os.environ.get("JSC_TEST_SCANS")
pytestmark = pytest.mark.skipif(
    not SCANS, reason="JSC_TEST_SCANS does not name a folder with open_ms/raw and open_ms/stripped (real scans)"
)


def row(flair):
    """One line of the table, with the masks of the scan."""
    name = flair.name.removesuffix("_flair.nii.gz")
    beside = {kind: flair.with_name(f"{name}_{kind}.nii.gz") for kind in ("brain_mask", "lesion_mask")}
    files = {kind: str(file) if file.is_file() else "" for kind, file in beside.items()}
    subject, _, session = name.partition("_")
    return {"subject": subject, "session": session, "flair": str(flair), **files, "disease": "MS"}


@pytest.fixture
def table(tmp_path):
    scans = sorted(Path(SCANS or ".").glob("open_ms/*/*_flair.nii.gz"))
    assert len(scans) >= 5
    pd.DataFrame([row(scan) for scan in scans]).to_csv(tmp_path / "cohort.tsv", sep="\t", index=False)
    return tmp_path / "cohort.tsv"


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("layout", ["crop_resize", pytest.param("isotropic_pad", marks=pytest.mark.slow)])
def test_every_real_scan_is_prepared_and_can_be_mapped_back(table, jsc, tmp_path, layout):
    store = tmp_path / "store"
    code, _, err = jsc(
        "prepare", f"cohort={table}", f"store={store}", "image_size=128", "workers=2", f"preprocess/layout={layout}",
        "preprocess/brain=none", "preprocess/bias_field=none",
    )  # fmt: skip
    assert code == 0, err
    rows = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    cases = {case.case: case for case in PreparedStore(store).cases}
    assert len(cases) == len(rows)
    for _, line in rows.iterrows():
        case = cases["_".join(filter(None, (line["subject"], line["session"])))]
        figures, scan = case.provenance, read_scan(line["flair"])
        image, inside = np.array(case.image()), case.brain_mask().astype(bool)
        assert figures["brain_how"] == ("table" if line["brain_mask"] else "stripped")
        assert 1000 < figures["brain_ml"] < 1700
        assert figures["axes"] == "".join(nib.aff2axcodes(scan.grid.affine))
        assert abs(image[0][inside].mean()) < 1e-3
        assert abs(image[0][inside].std() - 1) < 1e-3
        assert (image[0][~inside] == 0).all()
        brain = read_mask(line["brain_mask"], scan.grid, of="brain") if line["brain_mask"] else scan.data != 0
        assert dice(case.geometry.to_native(inside, linear=False), brain) > 0.98
        if line["lesion_mask"]:
            reference = read_mask(line["lesion_mask"], scan.grid)
            np.testing.assert_array_equal(case.lesion_mask_native(), reference)
            assert figures["lesions"]["native_ml"] == pytest.approx(reference.sum() * scan.grid.voxel_ml)
            assert figures["lesions"]["model_ml"] == pytest.approx(figures["lesions"]["native_ml"], rel=0.1)
            back = case.geometry.to_native(np.asarray(case.lesion_mask(), bool), linear=False)
            assert dice(back, reference) > 0.6


@pytest.mark.slow
def test_the_papers_chain_accepts_raw_and_stripped_scans_and_is_deterministic(table, jsc, tmp_path):
    rows = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    rows[rows["subject"].isin(["patient04", "patient07"])].drop(columns="brain_mask").to_csv(
        table, sep="\t", index=False
    )
    store = tmp_path / "store"
    code, _, err = jsc("prepare", f"cohort={table}", f"store={store}", "image_size=96", "workers=2")
    assert code == 0, err
    raw, stripped = PreparedStore(store).cases
    assert (raw.provenance["brain_how"], stripped.provenance["brain_how"]) == ("bet", "stripped")
    fields = [case.provenance["modalities"][0]["field_p99_over_p1"] for case in (raw, stripped)]
    assert 1 < fields[1] < 1.1 < fields[0] < 2.5  # the stripped scans were corrected by those who published them
    for case, line in zip((raw, stripped), read_cohort(table), strict=True):
        assert not case.provenance["warnings"] or "resize erases" in case.provenance["warnings"][0]
        again = build(OmegaConf.create(PreparedStore(store).settings)).model_input(line.images, line.brain_mask)
        np.testing.assert_array_equal(again.image, case.image())  # in this process, not a worker
    mask = next(Path(SCANS or ".").glob("open_ms/raw/patient04_study1_brain_mask.nii.gz"))
    reference = read_mask(mask, raw.geometry.native, of="brain")
    assert dice(raw.geometry.to_native(raw.brain_mask().astype(bool), linear=False), reference) > 0.93


def shared_information(a, b):
    """Mutual information of two images in nats, from their joint histogram."""
    joint = np.histogram2d(a, b, 48)[0]
    joint /= joint.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum())


@pytest.mark.slow
def test_a_real_oblique_t1_is_resampled_to_the_flair():
    raw = Path(SCANS or ".") / "open_ms" / "raw"
    flair, t1 = read_scan(raw / "patient12_study1_flair.nii.gz"), read_scan(raw / "patient12_study1_t1.nii.gz")
    brain = read_mask(raw / "patient12_study1_brain_mask.nii.gz", flair.grid, of="brain")
    by_header, rigid = ByHeader()(t1, flair), Rigid()(t1, flair)
    for found in (by_header, rigid):
        assert found.data.shape == flair.grid.shape
        assert found.covered[brain].mean() > 0.99
    shared = [shared_information(flair.data[brain], found.data[brain]) for found in (by_header, rigid)]
    assert shared[1] > 1.5 * shared[0]  # this patient moved between the two series
    assert 1 < rigid.shift_mm(flair.grid) < 5
    assert rigid.rotation_degrees < 3
