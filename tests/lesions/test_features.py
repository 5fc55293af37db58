import numpy as np
import pytest

from joint_seg_cls.lesions import count_by_place, lesion_places, region_features, template_regions


@pytest.fixture(scope="module")
def regions():
    return template_regions(2)


def ball(regions, centre_mm, radii_mm):
    index = np.stack(np.meshgrid(*map(np.arange, regions.grid.shape), indexing="ij"), axis=-1)
    position = index @ regions.grid.affine[:3, :3].T + regions.grid.affine[:3, 3]
    return (((position - centre_mm) / radii_mm) ** 2).sum(axis=-1) <= 1


@pytest.mark.parametrize(
    ("centre_mm", "place"),
    [
        ((0, -26, -32), "infratentorial"),
        ((30, -60, -40), "infratentorial"),
        ((22, -14, 28), "periventricular"),
        ((-34, -28, 56), "juxtacortical"),
        ((26, -8, 36), "deep"),
    ],
)
def test_a_lesion_has_the_class_of_its_location(regions, centre_mm, place):
    table = lesion_places(ball(regions, centre_mm, 4), regions)
    assert table["place"].tolist() == [place]


def test_priority_runs_from_infratentorial_over_periventricular_to_juxtacortical(regions):
    distance = regions.distance_mm
    both = (distance["lateral_ventricle"] <= 3) & (distance["cortex"] <= 1.5) & regions.masks["cerebrum"]
    only_cortex = (distance["lateral_ventricle"] > 12) & (distance["cortex"] <= 1.5) & regions.masks["cerebrum"]
    mask = np.zeros(regions.grid.shape, dtype=bool)
    if both.any():
        mask[tuple(np.argwhere(both)[0])] = True
        assert lesion_places(mask, regions)["place"].tolist() == ["periventricular"]
    mask[:] = False
    mask[tuple(np.argwhere(only_cortex)[0])] = True
    assert lesion_places(mask, regions)["place"].tolist() == ["juxtacortical"]


def test_lesions_are_counted_by_class(regions):
    mask = ball(regions, (0, -26, -32), 4) | ball(regions, (26, -8, 36), 3) | ball(regions, (-26, -8, 36), 3)
    counts = count_by_place(lesion_places(mask, regions))
    assert counts == {"infratentorial": 1, "periventricular": 0, "juxtacortical": 0, "deep": 2}


def test_an_empty_mask_has_the_same_features_all_finite(regions):
    empty = region_features(np.zeros(regions.grid.shape, dtype=bool), regions)
    full = region_features(ball(regions, (26, -8, 36), 4), regions)
    assert list(empty) == list(full)
    assert np.isfinite([*empty.values(), *full.values()]).all()
    assert empty["log_count"] == 0


def test_load_counts_lesions_and_their_volume(regions):
    mask = ball(regions, (0, -26, -32), 4) | ball(regions, (26, -8, 36), 4)
    found = region_features(mask, regions)
    assert found["log_count"] == pytest.approx(np.log(3))
    assert found["log_volume_ml"] == pytest.approx(np.log(mask.sum() * 0.008 + 0.01))


def test_periventricular_bands_and_fingers_are_distinguished(regions):
    finger = ball(regions, (26, -10, 26), (9, 3, 3)) & ~regions.masks["lateral_ventricle"]
    distance = regions.distance_mm["lateral_ventricle"]
    y = regions.grid.affine[1, 3] + 2.0 * np.arange(regions.grid.shape[1])
    x = regions.grid.affine[0, 3] + 2.0 * np.arange(regions.grid.shape[0])
    z = regions.grid.affine[2, 3] + 2.0 * np.arange(regions.grid.shape[2])
    span = (x > 10)[:, None, None] & (np.abs(y + 10) < 14)[None, :, None] & (z > 20)[None, None, :]
    band = (distance > 0) & (distance <= 2.1) & span
    across, along = region_features(finger, regions), region_features(band, regions)
    assert across["radial/count"] > 0
    assert across["lateral_ventricle/bands"] == 0
    assert along["radial/count"] == 0
    assert along["lateral_ventricle/bands"] > 0
    assert along["lateral_ventricle/band_share"] == 1


def test_dots_and_clouds_are_distinguished(regions):
    dots = np.zeros(regions.grid.shape, dtype=bool)
    for z in (34, 42, 50):
        dots |= ball(regions, (26, -10, z), 2.1)
    cloud = ball(regions, (28, -10, 40), 11)
    few, large = region_features(dots, regions), region_features(cloud, regions)
    assert few["punctate/share_of_count"] == 1
    assert few["cloud/count"] == 0
    assert large["punctate/share_of_count"] == 0
    assert large["cloud/count"] > 0
    assert large["depth/largest_mm"] > few["depth/largest_mm"] + 4


def test_shares_by_region_are_those_of_the_voxels(regions):
    mask = ball(regions, (0, 26, 6), 6)
    features = region_features(mask, regions)
    expected = (mask & regions.masks["callosum"]).sum() / mask.sum()
    assert features["callosum/share_of_volume"] == pytest.approx(expected)
    assert features["pons/share_of_volume"] == 0
    assert features["callosum/present"] == 1


def test_a_mask_on_another_grid_is_refused(regions):
    with pytest.raises(ValueError, match="grid"):
        region_features(np.zeros((5, 6, 7), dtype=bool), regions)
