import numpy as np
import pytest

from joint_seg_cls.lesions import template_map, template_regions
from joint_seg_cls.lesions.template_map import make_template_map

#: Places that any atlas of MNI space agrees on; x is mirrored.
PLACES_MM = [
    ("lateral_ventricle", (12, -10, 22)),
    ("lateral_ventricle", (5, 10, 10)),
    ("lateral_ventricle", (26, -44, 12)),
    ("third_ventricle", (0, -14, -4)),
    ("fourth_ventricle", (0, -44, -32)),
    ("aqueduct", (0, -28, -11)),
    ("callosum", (0, 28, 6)),
    ("callosum", (0, 12, 22)),
    ("callosum", (0, -38, 12)),
    ("pons", (0, -25, -32)),
    ("pons", (8, -28, -38)),
    ("midbrain", (0, -30, -18)),
    ("midbrain", (14, -17, -12)),
    ("medulla", (3, -40, -56)),
    ("area_postrema", (2, -45, -55)),
    ("cerebellum", (30, -60, -40)),
    ("cerebellum", (48, -55, -34)),
    ("cerebellum", (0, -60, -20)),
    ("thalamus", (10, -20, 8)),
    ("internal_capsule", (22, -13, 8)),
    ("corticospinal_tract", (25, -19, 20)),
    ("hypothalamus", (4, -4, -10)),
    ("inferior_temporal", (48, -25, -22)),
    ("inferior_temporal", (40, -10, -32)),
    ("cortex", (38, -26, 60)),
    ("cortex", (8, -80, 6)),
    ("deep_white_matter", (25, 0, 34)),
    ("cerebrum", (25, 0, 34)),
    ("infratentorial", (0, -25, -32)),
    ("infratentorial", (30, -60, -40)),
]


@pytest.fixture(scope="module")
def regions():
    return template_regions(1)


def at(x, y, z):
    return x + 98, y + 134, z + 72


@pytest.mark.parametrize(("name", "place"), PLACES_MM)
def test_known_mni_positions_are_in_their_region_on_both_sides(regions, name, place):
    x, y, z = place
    assert regions.masks[name][at(x, y, z)]
    assert regions.masks[name][at(-x, y, z)]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("lateral_ventricle", (0, -14, -4)),
        ("lateral_ventricle", (0, -40, 2)),
        ("third_ventricle", (0, -8, -16)),
        ("cerebellum", (35, -45, -16)),
        ("cerebellum", (25, -80, -8)),
        ("cerebrum", (30, -60, -40)),
        ("inferior_temporal", (30, -60, -40)),
        ("inferior_temporal", (40, 20, 0)),
        ("cortex", (10, -20, 8)),
        ("cortex", (26, 4, 2)),
        ("cortex", (12, 12, 10)),
        ("deep_white_matter", (0, 12, 24)),
        ("callosum", (3, -5, 13)),
        ("pons", (0, -44, -32)),
    ],
)
def test_neighbours_are_excluded(regions, name, place):
    assert not regions.masks[name][at(*place)]


@pytest.mark.parametrize(
    ("name", "low_ml", "high_ml"),
    [
        ("lateral_ventricle", 12, 30),
        ("third_ventricle", 0.5, 2.5),
        ("fourth_ventricle", 1, 3.5),
        ("callosum", 8, 20),
        ("pons", 12, 30),
        ("midbrain", 7, 18),
        ("medulla", 4, 12),
        ("cerebellum", 120, 200),
        ("thalamus", 11, 22),
        ("cortex", 500, 1000),
    ],
)
def test_volumes_are_those_of_a_brain(regions, name, low_ml, high_ml):
    assert low_ml < regions.masks[name].sum() / 1000 < high_ml


def test_cerebrum_and_infratentorial_brain_do_not_overlap_and_fill_the_tissue(regions):
    assert not (regions.masks["cerebrum"] & regions.masks["infratentorial"]).any()
    stem = regions.masks["pons"] | regions.masks["midbrain"] | regions.masks["medulla"]
    assert not (stem & ~regions.masks["infratentorial"]).any()


def test_distances_are_those_of_a_slow_search(regions):
    rng = np.random.default_rng(0)
    brain = np.argwhere(regions.distance_mm["brain_edge"] > 0)
    for name in ("lateral_ventricle", "aqueduct", "cortex"):
        inside = np.argwhere(regions.masks[name])
        for voxel in brain[rng.integers(len(brain), size=6)]:
            nearest = np.sqrt(((inside - voxel) ** 2).sum(axis=1).min())
            assert regions.distance_mm[name][tuple(voxel)] == pytest.approx(nearest, abs=1e-4)


def test_the_two_millimetre_grid_is_the_same_anatomy(regions):
    coarse = template_regions(2)
    assert coarse.grid.shape == (99, 117, 95)
    for name, mask in coarse.masks.items():
        assert np.array_equal(mask, regions.masks[name][::2, ::2, ::2])
    point = np.linalg.solve(coarse.grid.affine, [12, -10, 22, 1])[:3].astype(int)
    assert coarse.masks["lateral_ventricle"][tuple(point)]
    assert coarse.distance_mm["lateral_ventricle"].shape == coarse.grid.shape


def test_is_made_once_and_cannot_be_written_to(regions):
    assert template_regions(1) is regions
    with pytest.raises(ValueError, match="read-only"):
        regions.masks["pons"][0, 0, 0] = True


def test_the_installed_map_is_the_one_that_the_regions_give(regions):
    made, stored = make_template_map(), template_map()
    assert made.grid.distance_mm(stored.grid) == 0
    assert made.masks.keys() == stored.masks.keys()
    for name, mask in made.masks.items():
        assert mask.any(), name
        np.testing.assert_array_equal(mask, stored.masks[name], err_msg=name)
    for name, distance in made.distance.items():
        np.testing.assert_array_equal(distance, stored.distance[name], err_msg=name)
    assert np.abs(made.tissue.astype(int) - stored.tissue).max() <= 1  # rounding
