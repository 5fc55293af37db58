"""The randomised simulator: realistic lesions, reproducible scans, and unlimited images."""

import json

import numpy as np
import pytest
import torch

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom import LabelMaps, Population, RandomisedCohort, write_cohort, write_scene_store
from joint_seg_cls.phantom.appearance import draw_appearance, ventricular_extent
from joint_seg_cls.phantom.head import Head
from joint_seg_cls.phantom.lesion_shapes import RoughEllipsoids, ShapeLibrary
from joint_seg_cls.phantom.patient import Patient
from joint_seg_cls.phantom.placing import place_lesions
from joint_seg_cls.phantom.random_appearance import RandomAppearance
from joint_seg_cls.phantom.recruitment import Balanced
from joint_seg_cls.phantom.scan_effects import Slices, averaged
from joint_seg_cls.phantom.scene import Scene, draw_scene
from joint_seg_cls.phantom.tissue import Tissue, from_freesurfer, is_brain
from joint_seg_cls.preprocess import TissueMode
from joint_seg_cls.scan import read_cohort, read_mask, read_scan

NONE = {"MS": 0.0, "NMOSD": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, labels, write_labels):
    path = tmp_path_factory.mktemp("maps")
    for name, scale in (("a.nii.gz", 1.0), ("b.mgz", 0.95)):
        write_labels(path / name, labels(scale))
    return path


@pytest.fixture(scope="module")
def head(labels):
    return Head("ellipsoids", np.pad(from_freesurfer(labels())[0], 2))


@pytest.fixture
def cohort(folder):
    def made(subjects=2, seed=5, visits=1, shapes=None):
        return RandomisedCohort(
            Population("randomised", NONE, NONE, pooled_load=True),
            Balanced(subjects, 100, visits),
            LabelMaps(folder),
            shapes or RoughEllipsoids(),
            (0.4, 40.0),
            seed,
        )

    return made


def patient(disease, *features, count=20):
    return Patient(disease, disease, frozenset(features), count, 1.0)


@pytest.mark.parametrize("volume_ml", [0.6, 6.0, 40.0])
def test_ms_has_its_load_around_the_ventricles(head, volume_ml):
    who = patient("MS", "periventricular", "dawson", "juxtacortical", count=40)
    lesions = place_lesions(head, who, volume_ml, RoughEllipsoids(), np.random.default_rng(1))
    found_ml = np.count_nonzero(lesions) / 1000
    assert found_ml == pytest.approx(volume_ml, rel=0.35)
    atlas, here = head.atlas, lesions[head.brain_box] > 0
    assert (here & (atlas.wall_mm["lateral_ventricle"] <= 3)).any()
    assert not (here & ~atlas.tissue).any()


@pytest.mark.parametrize("disease", ["MS", "NMOSD"])
def test_absent_features_have_no_lesions(head, disease):
    who = patient(disease, "periventricular", count=15)
    lesions = place_lesions(head, who, 3.0, RoughEllipsoids(), np.random.default_rng(2))[head.brain_box] > 0
    assert lesions.any()
    for feature in ("infratentorial", "callosal", "juxtacortical"):
        assert not (lesions & head.atlas.spared[feature]).any()


def test_nmosd_has_linear_lesions_along_the_ependyma(head):
    who = patient("NMOSD", "periventricular", "linear_ependymal", count=4)
    lesions = place_lesions(head, who, 0.5, RoughEllipsoids(), np.random.default_rng(3))[head.brain_box]
    first = lesions == 1
    assert head.atlas.wall_mm["lateral_ventricle"][first].max() <= 3


def test_a_scene_keeps_volumes_within_its_grid(head):
    lesions = np.zeros(head.tissue.shape, np.uint8)
    lesions[head.tissue == Tissue.CEREBELLAR_WHITE] = 1
    scene = draw_scene(head, lesions, (96, 112, 96), 1.5, np.random.default_rng(0))
    brain_ml = np.count_nonzero(is_brain(scene.tissue)) * 1.5**3 / 1000
    assert brain_ml == pytest.approx(np.count_nonzero(is_brain(head.tissue)) / 1000, rel=0.45)
    inside = is_brain(scene.tissue)
    assert not inside[0].any()
    assert not inside[-1].any()
    assert (scene.tissue[scene.lesions == 1] == Tissue.CEREBELLAR_WHITE).mean() > 0.95


def test_images_of_one_scene_vary_and_are_reproducible(head):
    lesions = place_lesions(head, patient("MS", "periventricular"), 8.0, RoughEllipsoids(), np.random.default_rng(1))
    scene = draw_scene(head, lesions, (80, 96, 80), 1.5, np.random.default_rng(1))
    images = [draw_appearance(scene, ventricular_extent(scene), np.random.default_rng(n)) for n in (1, 2, 1)]
    assert np.array_equal(images[0].image, images[2].image)
    assert not np.array_equal(images[0].image, images[1].image)
    for drawn in images:
        assert not drawn.image[~drawn.brain].any()
        assert np.isfinite(drawn.image).all()
        assert 0.5 < drawn.white < 2
        assert not (drawn.lesions & ~drawn.brain).any()


def test_lesions_range_from_barely_visible_to_very_bright(head):
    lesions = place_lesions(head, patient("MS", "periventricular"), 15.0, RoughEllipsoids(), np.random.default_rng(1))
    scene = draw_scene(head, lesions, (64, 72, 64), 2.0, np.random.default_rng(1))
    contrast = []
    for n in range(14):
        drawn = draw_appearance(scene, ventricular_extent(scene), np.random.default_rng(n))
        if drawn.lesions.any():
            contrast.append(float(np.median(drawn.image[drawn.lesions])) / drawn.white)
    assert min(contrast) < 1.25
    assert max(contrast) > 1.5


def test_thick_slices_average_without_their_gap():
    volume = np.arange(12, dtype=np.float32).reshape(1, 1, 12) * np.ones((2, 2, 1), np.float32)
    assert averaged(volume, Slices(2, 4.0, 0.0), 1.0)[0, 0].tolist() == [1.5, 5.5, 9.5]
    volume[..., 1::4] = 100
    volume[..., 2::4] = 100
    assert averaged(volume, Slices(2, 4.0, 0.5), 1.0)[0, 0].tolist() == [100, 100, 100]


def test_a_subject_is_independent_of_the_rest_of_the_cohort(cohort, tmp_path, digests):
    arguments = {"spacing_mm": 2, "raters": 2, "command": "jsc phantom"}
    table = write_cohort(cohort(2), tmp_path / "two", workers=0, **arguments)
    write_cohort(cohort(1), tmp_path / "one", workers=0, **arguments)
    two, one = (digests(tmp_path / name) for name in ("two", "one"))
    assert {name: value for name, value in two.items() if name.startswith("sub-001/")} == {
        name: value for name, value in one.items() if name.startswith("sub-001/")
    }
    scans = read_cohort(table)
    assert sorted(scan.disease for scan in scans) == ["MS", "NMOSD"]
    for row in scans:
        scan = read_scan(row.images[0])
        brain = read_mask(row.brain_mask, scan.grid, of="brain")
        lesions = read_mask(row.lesion_masks[0], scan.grid)
        assert lesions.any()
        assert not (lesions & ~brain).any()
        assert not scan.data[~brain].any()
        assert (scan.data[brain] > 0).all()


def test_whole_heads_include_the_labels_outside_the_brain(jsc, folder, tmp_path):
    words = ("phantom=randomised", f"out={tmp_path / 'heads'}", "subjects=1", "workers=0", "spacing_mm=2")
    code, _, output = jsc("phantom", *words, "anatomy=label_maps", f"path={folder}", "skull=labels")
    assert code == 0, output
    flair = read_scan(next((tmp_path / "heads").rglob("*_flair.nii.gz")))
    brain = read_mask(next((tmp_path / "heads").rglob("*_brain-mask.nii.gz")), flair.grid, of="brain")
    assert (flair.data[~brain] > 0.1 * np.median(flair.data[brain])).mean() > 0.05


def test_a_store_of_scenes_gives_new_training_images(cohort, tmp_path):
    settings = {"_target_": "joint_seg_cls.preprocess.Pipeline"}
    arguments = {
        "shape": (64, 80, 64),
        "spacing_mm": 2.0,
        "intensity": TissueMode(),
        "settings": settings,
        "workers": 0,
    }
    store = write_scene_store(cohort(2), tmp_path / "store", **arguments)
    before = (tmp_path / "store" / "sub-001" / "labels.npz").stat().st_mtime_ns
    store = write_scene_store(cohort(3), tmp_path / "store", **arguments)
    assert [case.case for case in store.cases] == ["sub-001", "sub-002", "sub-003"]
    assert (tmp_path / "store" / "sub-001" / "labels.npz").stat().st_mtime_ns == before
    entries = {name: torch.from_numpy(array)[None] for name, array in store.cases[0].labels().items()}
    draw = RandomAppearance(2.0, [32, 48, 32])
    drawn = []
    for seed in (1, 2, 1):
        draw.set_random_state(seed=seed)
        drawn.append(draw(entries))
    assert drawn[0]["image"].shape == drawn[0]["lesion_mask"].shape == (1, 32, 48, 32)
    assert torch.equal(drawn[0]["image"], drawn[2]["image"])
    assert not torch.equal(drawn[0]["image"], drawn[1]["image"])
    replayed = draw.apply(entries, draw.draw(np.random.RandomState(1)))
    assert torch.equal(replayed["image"], drawn[0]["image"])
    assert 0 <= float(drawn[0]["image"].min()) <= float(drawn[0]["image"].max()) <= 3
    whole = RandomAppearance(2.0)
    whole.set_random_state(seed=1)
    assert whole(entries)["image"].shape == (1, 64, 80, 64)


def test_prepared_scans_have_no_labels():
    with pytest.raises(ConfigError, match="phantom=randomised"):
        RandomAppearance(1.5)({"image": torch.zeros(1, 8, 8, 8)})


def shapes_file(path, **changes):
    mask = np.zeros((3, 4, 5), bool)
    mask[1, 1:3, 1:4] = True
    bits = np.packbits(mask.ravel())
    arrays = {
        "affine": np.diag([1.0, 1.0, 1.0, 1.0]),
        "origin": np.array([[10, 20, 30]] * 2),
        "shape": np.array([[3, 4, 5]] * 2),
        "offset": np.array([0, len(bits), 2 * len(bits)]),
        "bits": np.concatenate([bits, bits]),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def test_shapes_from_a_file_have_their_original_position(tmp_path):
    library = ShapeLibrary(shapes_file(tmp_path / "shapes.npz"))
    for seed in range(5):
        shape = library.draw(100.0, np.random.default_rng(seed))
        assert shape.mask.any()
        assert np.abs(shape.place_mm).tolist() == [11.0, 21.5, 32.0]


@pytest.mark.parametrize("changes", [{"bits": None}, {"origin": np.zeros((1, 3), int)}], ids=["no bits", "one origin"])
def test_an_invalid_file_of_shapes_is_refused(tmp_path, changes):
    with pytest.raises(ConfigError, match="shapes: expected"):
        ShapeLibrary(shapes_file(tmp_path / "shapes.npz", **changes)).draw(100.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("phantom=randomised", "anatomy=label_maps", "out=x"), "path=FOLDER"),
        (("phantom=randomised", "anatomy=label_maps", "path=absent", "out=x"), "a folder of label maps"),
        (("phantom=randomised", "shapes=absent.npz", "out=x"), "shapes"),
        (("phantom=randomised", "phantom.load_ml=[3,1]", "out=x"), "load_ml"),
        (("phantom=randomised", "out=x", "skull=shell"), "use skull=labels"),
        (("phantom=randomised", "out=x", "store=y"), "found both"),
        (("phantom=clear", "store=y"), "phantom=randomised"),
        (("phantom=clear", "out=x", "anatomy=label_maps", "path=."), "phantom=randomised"),
        (("phantom=clear", "out=x", "shapes=some.npz"), "phantom=randomised"),
        (("phantom=clear", "out=x", "skull=labels"), "phantom=randomised"),
        (("phantom=randomised", "store=y", "preprocess=paper"), "isotropic_pad"),
    ],
)
def test_invalid_settings_give_an_error_message_and_write_nothing(jsc, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    code, _, output = jsc("phantom", *words)
    assert code == 2
    assert named in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_the_record_of_a_cohort_has_its_heads_and_shapes(cohort):
    settings = json.loads(json.dumps(cohort().settings()))
    assert [name for name, _ in settings["maps"]] == ["a.nii.gz", "b.mgz"]
    assert settings["shapes"] == "ellipsoids"
    assert {cohort(seed=5).head_number(n) for n in range(1, 20)} == {0, 1}


def test_a_scene_can_be_cropped_and_mirrored():
    scene = Scene(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.zeros((2, 3, 4), np.uint8), 1.5)
    assert scene.mirrored().tissue[0, 0, 0] == 12
    assert scene.cropped((slice(1, 2), slice(0, 2), slice(1, 3))).tissue.tolist() == [[[13, 14], [17, 18]]]
