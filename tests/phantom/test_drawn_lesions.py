"""Simulated lesions have the patient's number, volume, location and shape on any grid."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from joint_seg_cls.lesions import template_regions
from joint_seg_cls.phantom import Patient, simulate_lesions
from joint_seg_cls.phantom.plan import plan_lesions
from joint_seg_cls.phantom.raster import draw_lesions
from joint_seg_cls.scan import resample
from joint_seg_cls.scan.grid import Grid

CONNECTED = np.ones((3, 3, 3))


@pytest.mark.parametrize("name", ["clear", "matched"])
def test_final_masks_have_the_drawn_count_and_volume(preset, name):
    cohort = preset(name, "seed=6")
    for subject in range(1, 9):
        drawn, patient = simulate_lesions(cohort, subject)
        count, volume_ml = ndimage.label(drawn.mask, CONNECTED)[1], drawn.mask.sum() * 0.008
        assert abs(count - patient.count) <= max(2, 0.15 * patient.count), patient
        assert abs(volume_ml - patient.volume_ml) <= max(0.03, 0.1 * patient.volume_ml), patient


def test_the_lesions_are_the_same_on_both_grids(preset):
    cohort = preset("clear", "seed=1")
    for subject in (1, 2):
        coarse, fine = (simulate_lesions(cohort, subject, spacing_mm=s)[0] for s in (2, 1))
        assert fine.volume_ml == pytest.approx(coarse.volume_ml, rel=0.1, abs=0.03)
        onto = resample(coarse.mask, coarse.grid, fine.grid, linear=False).astype(bool)
        near = ndimage.binary_dilation(onto, CONNECTED, iterations=2)
        assert (fine.mask & near).sum() / fine.mask.sum() > 0.75


def test_simulated_lesions_equal_those_on_disk(preset, visits_table):
    cohort = preset("clear", "subjects=3", "visits=2", "seed=4")
    for subject in (1, 2, 3):
        drawn, _ = simulate_lesions(cohort, subject)
        name = f"sub-{subject:03d}"
        file = nib.load(visits_table.parent / name / "ses-01" / f"{name}_ses-01_lesion-mask.nii.gz")
        volume_ml = np.asarray(file.dataobj).sum() * abs(np.linalg.det(file.affine[:3, :3])) / 1000
        assert volume_ml == pytest.approx(drawn.volume_ml, rel=0.35, abs=0.05)


def test_a_patient_without_lesions_has_an_empty_mask():
    drawn = draw_lesions(plan_lesions(Patient("NMOSD", "NMOSD", frozenset(), 0, 0.0), 1, 1), 2)
    assert not drawn.mask.any()


@pytest.mark.parametrize(
    ("feature", "region"),
    [
        ("callosal", "callosum"),
        ("pons", "pons"),
        ("hypothalamus", "hypothalamus"),
        ("area_postrema", "area_postrema"),
        ("inferior_temporal", "inferior_temporal"),
        ("corticospinal", "internal_capsule"),
    ],
)
def test_features_determine_the_affected_regions(feature, region):
    mask = template_regions(2).masks[region]
    whole = {"pons": {"infratentorial"}}.get(feature, set())
    for subject in range(4):
        with_it = Patient("NMOSD", "NMOSD", frozenset({feature, "punctate"} | whole), 9, 1.5)
        without = Patient("NMOSD", "NMOSD", frozenset({"punctate"}), 9, 1.5)
        assert (draw_lesions(plan_lesions(with_it, 1, subject), 2).mask & mask).any()
        assert not (draw_lesions(plan_lesions(without, 1, subject), 2).mask & mask).any()


def test_bands_are_thin_and_follow_the_ventricle_while_ms_masses_reach_into_the_white_matter():
    away_mm = template_regions(2).distance_mm["lateral_ventricle"]
    band = Patient("NMOSD", "NMOSD", frozenset({"periventricular", "linear_ependymal"}), 1, 0.5)
    mass = Patient("MS", "MS", frozenset({"periventricular", "dawson"}), 8, 12.0)
    for subject in range(4):
        thin = draw_lesions(plan_lesions(band, 2, subject), 2).mask
        thick = draw_lesions(plan_lesions(mass, 2, subject), 2).mask
        assert np.percentile(away_mm[thin], 90) <= 4.5
        assert np.percentile(away_mm[thick], 90) > 5
        assert away_mm[thick].min() <= 2.3
        extent_mm = 2 * np.ptp(np.argwhere(thin), axis=0).max()
        assert extent_mm >= 8


@pytest.mark.slow
def test_ms_lesions_have_realistic_locations(preset):
    file = Path(os.environ.get("JSC_TEST_SCANS", "nowhere"), "open_ms", "ms_lesion_density_fsl_mni152_1mm.nii.gz")
    if not file.is_file():
        pytest.skip(
            "set JSC_TEST_SCANS to the folder of real scans: the density of real MS lesions is not in this project"
        )
    population = preset("clear").population
    drawn = [draw_lesions(plan_lesions(population.draw("MS", 5, s), 5, s), 2) for s in range(20)]
    density = np.mean([lesions.mask for lesions in drawn], axis=0).astype(np.float32)
    fsl = Grid((182, 218, 182), np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]]))
    simulated = ndimage.gaussian_filter(resample(density, drawn[0].grid, fsl, linear=True), 3)
    real = ndimage.gaussian_filter(np.asarray(nib.load(file).dataobj, dtype=np.float32), 3)
    inside = resample(template_regions(2).masks["cerebrum"].astype(np.uint8), drawn[0].grid, fsl, linear=False) > 0
    assert np.corrcoef(simulated[inside], real[inside])[0, 1] >= 0.6
