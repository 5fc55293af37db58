"""Regions in the lesion table and the record of a prediction: there where the template fits, withheld where not."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from joint_seg_cls.inference import Findings, TrainingScans, case_findings
from joint_seg_cls.inference.anatomy import columns_of, locate
from joint_seg_cls.inference.lesion_rows import lesion_rows
from joint_seg_cls.lesions import REGIONS, region_key
from joint_seg_cls.preprocess import ModelInput
from joint_seg_cls.scan import Geometry, Scan


def prepared(image, brain, grid, brain_ml=1500.0):
    scan = Scan(Path("s.nii.gz"), image, grid, nib.Nifti1Header())
    figures = {"spacing_mm": grid.spacing_mm, "brain_ml": brain_ml, "brain_how": "given", "modalities": []}
    return ModelInput((scan,), brain, image[None], brain, Geometry(grid, grid), brain_ml, figures)


def found_in(lesions, location=None):
    return Findings(lesions.astype(np.float32), lesions, location, None)


def test_regions_are_in_table_and_record(template_head):
    image, brain, grid, lesions = template_head
    found = found_in(lesions)
    table = lesion_rows(found, grid)
    located = locate(prepared(image, brain, grid), found, table)
    by_height = located.columns["region"][np.argsort(table["centroid_z_mm"].to_numpy())].tolist()
    assert by_height == ["infratentorial", "periventricular"]
    record = located.record
    assert record["registration"]["withheld"] is None
    assert record["regions"]["periventricular"] == {"count": 1, "volume_ml": pytest.approx(3 * 0.027)}
    assert sum(entry["count"] for entry in record["regions"].values()) == 2
    row = columns_of(record)
    assert (row["infratentorial_count"], row["juxtacortical_count"]) == (1, 0)
    assert row["periventricular_ml"] == pytest.approx(0.081)
    assert row["one_third_rule"] == row["dawson_finger"] == "false"


@pytest.mark.parametrize("case", ["small", "cut", "no contrast", "noise"])
def test_regions_are_withheld_where_the_template_does_not_fit(template_head, case):
    image, brain, grid, lesions = template_head
    seen = prepared(image, brain, grid)
    if case == "small":
        seen = prepared(image, brain, grid, brain_ml=90.0)
    elif case == "cut":
        half = grid.cropped((0, 0, 30), grid.shape)
        seen, lesions = prepared(image[:, :, 30:], brain[:, :, 30:], half), lesions[:, :, 30:]
    elif case == "no contrast":
        seen = prepared(np.where(brain, 7, 0).astype(np.float32), brain, grid)
    else:
        noise = np.random.default_rng(0).uniform(0, 9, grid.shape)
        seen = prepared(np.where(brain, noise, 0).astype(np.float32), brain, grid)
    found = found_in(lesions)
    table = lesion_rows(found, seen.geometry.native)
    located = locate(seen, found, table)
    assert located.columns.isna().all(axis=None)
    assert len(located.columns) == len(table) > 0
    assert located.record["registration"]["withheld"]
    assert located.record["regions"] is None
    row = columns_of(located.record)
    assert {row[f"{region_key(region)}_count"] for region in REGIONS} == {""}
    assert row["one_third_rule"] == "unknown"


@pytest.mark.parametrize(("cortex", "is_doubted"), [(1.0, False), (0.75, True)])
def test_a_scan_with_the_contrast_of_a_t1_is_doubted(template_head, cortex, is_doubted):
    """The template's grey matter is 1.1 times as bright as white matter; on a T1 it is darker."""
    image, brain, grid, lesions = template_head
    image = np.where(image > 103, cortex * image, image).astype(np.float32)
    trained = TrainingScans(modality="flair")
    seen = prepared(image, brain, grid)
    case = case_findings("s", seen, found_in(lesions), classes=(), model={}, trained=trained)
    doubts = [line for line in case.record["warnings"] if "as on a T1; check that the scan is a FLAIR" in line]
    assert len(doubts) == is_doubted
    assert (case.record["registration"]["cortex_to_white"] < 0.91) == is_doubted


def test_share_of_the_diagnosis_is_that_of_the_positive_part(template_head):
    _, _, grid, lesions = template_head
    location = np.zeros(grid.shape, np.float32)
    one, two = np.argwhere(lesions)[[0, -1]]
    location[tuple(one)], location[tuple(two)], location[0, 0, 0] = 3.0, -2.0, 1.0
    other = np.argwhere(lesions)[-2]
    location[tuple(other)] = 0.5
    table = lesion_rows(found_in(lesions, location), grid)
    assert sorted(table["diagnosis_sum"]) == pytest.approx([-1.5, 3.0])
    assert sorted(table["diagnosis_share"]) == pytest.approx([0.5 / 4.5, 3 / 4.5])
    assert lesion_rows(found_in(lesions), grid)["diagnosis_share"].isna().all()
