"""Regions of lesions in a scan: exact on the template itself, by registration on a head that was moved and scaled."""

import numpy as np
import pytest

from joint_seg_cls.lesions import criteria, lesion_regions, lesion_table, scan_anatomy, template_map
from joint_seg_cls.preprocess import register_to_template, tissue_brightness
from joint_seg_cls.preprocess.to_template import measure_fit
from joint_seg_cls.scan import Grid, resample_oblique

#: A position in MNI mm, and the region of a small lesion there.
PLACES = [
    ((19, -15, 27), "periventricular"),
    ((26, 2, 36), "deep white matter"),
    ((50, -24, 50), "juxtacortical"),
    ((6, -28, -34), "infratentorial"),
    ((30, -60, -40), "infratentorial"),
    ((2, 14, 20), "corpus callosum"),
    ((14, -20, 10), "deep grey"),
    ((26, 2, 2), "deep grey"),
    ((2, -32, -16), "around third and fourth ventricle"),
    ((3, -6, -12), "optic or hypothalamic"),
]
OBLIQUE = np.array([[-2.4, 0.2, 0.1, 82], [0.3, -2.3, 0.5, 70], [0.0, 0.5, 3.0, -82], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def head():
    """The template as a noisy FLAIR, smaller, turned and shifted, on an oblique grid with thick slices."""
    template = template_map()
    to_template = np.array([[1.1, 0.06, 0, 4], [-0.07, 1.15, 0.08, -9], [0, -0.09, 1.12, 6], [0, 0, 0, 1.0]])
    grid = Grid((69, 83, 58), OBLIQUE)
    volumes = [
        resample_oblique(volume.astype(np.float32), template.grid, grid, to_template, linear=True)[0]
        for volume in (template.tissue, template.masks["brain"])
    ]
    brain = volumes[1] > 0.5
    image = 3 * volumes[0] + np.random.default_rng(0).normal(0, 12, grid.shape)
    return np.where(brain, image, 0).astype(np.float32), brain, grid, to_template


@pytest.fixture(scope="module")
def fit(head):
    image, brain, grid, _ = head
    brightness = tissue_brightness(image, brain)
    assert brightness is not None
    found = register_to_template(brightness, grid)
    assert found is not None
    return found, brightness


def ball(grid, centre_mm, radius_mm):
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return np.linalg.norm(index @ grid.affine[:3, :3].T + grid.affine[:3, 3] - centre_mm, axis=-1) <= radius_mm


def test_registration_finds_the_known_transform(head, fit):
    image, brain, grid, to_template = head
    found, _ = fit
    assert found.doubt is None, found
    inside = np.argwhere(brain) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    error = np.c_[inside, np.ones(len(inside))] @ (found.to_template - to_template).T
    assert np.linalg.norm(error, axis=1).max() < 3.0  # a voxel
    again = register_to_template(tissue_brightness(image, brain), grid)
    np.testing.assert_array_equal(again.to_template, found.to_template)


def test_lesions_are_in_their_regions(head, fit):
    _, brain, grid, to_template = head
    found, brightness = fit
    anatomy = scan_anatomy(brightness, brain, grid, found.to_template)
    wrong = []
    for place, region in PLACES:
        centre = np.linalg.solve(to_template, [*place, 1.0])[:3]
        mask = ball(grid, centre, 2.2)
        row = lesion_regions(mask, grid, anatomy).iloc[0]
        if row["region"] != region:
            wrong.append((place, region, row["region"]))
    assert not wrong


def test_distances_are_to_the_scans_own_wider_ventricles(head, fit):
    _, brain, grid, to_template = head
    found, brightness = fit
    narrow = scan_anatomy(brightness, brain, grid, found.to_template)
    centre = np.linalg.solve(to_template, [26, -15, 24, 1.0])[:3]
    hole = ball(grid, np.linalg.solve(to_template, [14, -15, 24, 1.0])[:3], 8.0)
    wide = scan_anatomy(np.where(hole, 0, brightness).astype(np.float32), brain, grid, found.to_template)
    assert wide.ventricle_ml > narrow.ventricle_ml
    there = centre[None]
    assert wide.to_ventricle_mm(there)[0] < narrow.to_ventricle_mm(there)[0] - 1
    fluid = np.argwhere(wide.ventricle_mm == 0) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    nearest = np.linalg.norm(fluid - centre, axis=1).min()
    assert wide.to_ventricle_mm(there)[0] == pytest.approx(nearest, abs=1.5)


def test_a_wrong_transform_is_doubted(head, fit):
    _, _, grid, to_template = head
    _, brightness = fit
    flipped = np.diag([1.0, -1.0, -1.0, 1.0]) @ to_template
    shifted = to_template.copy()
    shifted[1, 3] += 25
    for wrong in (flipped, shifted):
        assert "below" in (measure_fit(wrong, brightness, grid).doubt or "")


def test_an_image_without_contrast_or_brain_is_not_registered():
    grid = Grid((30, 31, 32), OBLIQUE)
    brain = np.zeros(grid.shape, bool)
    assert tissue_brightness(np.ones(grid.shape, np.float32), brain) is None
    brain[5:20, 5:20, 5:20] = True
    assert tissue_brightness(np.ones(grid.shape, np.float32), brain) is None
    assert register_to_template(np.zeros(grid.shape, np.float32), grid) is None


def test_a_radial_ovoid_at_the_body_is_a_candidate_dawson_finger(head, fit):
    """Checked on a fine grid, where a small lesion has a direction."""
    _, brain, grid, to_template = head
    found, brightness = fit
    anatomy = scan_anatomy(brightness, brain, grid, found.to_template)
    fine = Grid((120, 120, 120), np.diag([1.0, 1.0, 1.0, 1.0]))
    start = np.linalg.solve(to_template, [24, -15, 27, 1.0])[:3]
    fine.affine[:3, 3] = start - 60
    away = anatomy.from_ventricle(start[None])
    across = np.cross(away, [0, 1, 0])
    index = np.stack(np.meshgrid(*map(np.arange, fine.shape), indexing="ij"), axis=-1)
    for axis, expected in ((away, "true"), (across / np.linalg.norm(across), "false")):
        offset = index + fine.affine[:3, 3] - start
        along = offset @ axis
        mask = (along / 6) ** 2 + ((offset**2).sum(axis=-1) - along**2) / 2.5**2 <= 1
        table = lesion_table(mask, fine).join(lesion_regions(mask, fine, anatomy))
        answers = criteria(table, 1.0)
        assert answers["dawson_finger"].value == answers["one_third_rule"].value == expected
        assert answers["dawson_finger"].lesions == ((1,) if expected == "true" else ())
        assert criteria(table, 6.0)["dawson_finger"].value == "unknown"
    assert {answer.value for answer in criteria(None, 1.0).values()} == {"unknown"}


def test_no_lesion_has_no_row_and_no_criterion(head, fit):
    _, brain, grid, _ = head
    found, brightness = fit
    anatomy = scan_anatomy(brightness, brain, grid, found.to_template)
    mask = np.zeros(grid.shape, bool)
    table = lesion_table(mask, grid).join(lesion_regions(mask, grid, anatomy))
    assert len(table) == 0
    assert {answer.value for answer in criteria(table, 1.0).values()} == {"false"}
