"""A scan of a scene on its own grid: any voxel size, slices with gaps, any orientation of the axes."""

from collections.abc import Sequence

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy import ndimage

from joint_seg_cls.phantom.appearance import Signal, draw_signal, ventricular_extent
from joint_seg_cls.phantom.raters import another_rater
from joint_seg_cls.phantom.resizing import resized
from joint_seg_cls.phantom.scan_effects import FILLED, averaged, blurred_or_sharpened, draw_slices, moved, received
from joint_seg_cls.phantom.scene import Scene, rotation
from joint_seg_cls.phantom.subject import SimulatedScan
from joint_seg_cls.phantom.tissue import is_brain
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.grid import bounding_box, reorient

_IN_PLANE_MM = (0.75, 1.25)
_AXES = ("RAS", "LAS", "LPS", "PIL", "RPI", "LIP")
_TILT_SD_DEG = 6.0
_GAIN = (40.0, 1500.0)
_MARGIN_VOXELS = 6


def scan_scene(
    scene: Scene, rng: np.random.Generator, raters: Sequence[np.random.Generator], *, strip: bool
) -> SimulatedScan:
    """Return a scan of a scene, with one reference mask per rater."""
    signal = draw_signal(scene, ventricular_extent(scene), rng, all_lesions=True)
    brain = signal.brain if strip else _anatomical(scene)
    values = np.where(brain, signal.values, 0) if strip else signal.values
    box = bounding_box(values > 0, _MARGIN_VOXELS)
    signal = Signal(values[box], brain[box], signal.lesions[box])
    values, share, brain, grid = _sampled(signal, scene.spacing_mm, rng)
    values = received(values, rng)
    gain = float(np.exp(rng.uniform(*np.log(_GAIN)))) / max(float(np.percentile(values[brain], 50)), 1e-3)
    flair = np.clip(np.round(values * gain), 1, np.iinfo(np.int16).max)
    flair = np.where(brain, flair, 0) if strip else flair
    lesions = (share >= FILLED) & brain
    others = [another_rater(share, brain, grid.spacing_mm, own) for own in raters]
    turned = grid.like(_with_axes(_AXES[int(rng.integers(len(_AXES)))]))
    flair, brain, *masks = (
        reorient(array, grid, turned) for array in (flair.astype(np.int16), brain, lesions, *others)
    )
    return SimulatedScan(Grid(turned.shape, _tilted(turned, rng)), flair, brain, tuple(masks))


def _sampled(
    signal: Signal, spacing_mm: float, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "x y z"], Float32[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"], Grid]:
    """Return intensity, lesion fraction, brain and grid on the scan's own voxels, axes RAS+."""
    values = blurred_or_sharpened(moved(signal.values, rng), spacing_mm, rng)
    volumes = [values, signal.lesions.astype(np.float32), signal.brain.astype(np.float32)]
    slices, in_plane = draw_slices(rng), float(rng.uniform(*_IN_PLANE_MM))
    if slices is not None:
        volumes = [averaged(volume, slices, spacing_mm) for volume in volumes]
    across = None if slices is None else slices.axis
    sides = [
        volumes[0].shape[axis]
        if axis == across
        else max(round(side * spacing_mm / max(in_plane, spacing_mm * 0.75)), 8)
        for axis, side in enumerate(signal.values.shape)
    ]
    shape = (sides[0], sides[1], sides[2])
    values, share, brain = (resized(volume, shape) for volume in volumes)
    whole = Grid(signal.values.shape, np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0]))
    return values, share, brain >= 0.5, whole.resized(shape)


def _anatomical(scene: Scene) -> Bool[np.ndarray, "x y z"]:
    """Return the brain with its sulci."""
    brain = np.pad(is_brain(scene.tissue), 4)
    return ndimage.binary_closing(brain, iterations=3)[4:-4, 4:-4, 4:-4]


def _with_axes(codes: str) -> Grid:
    """Return a grid with the axis directions ``codes``."""
    axes = nib.orientations.axcodes2ornt(codes)
    return Grid((2, 2, 2), np.linalg.inv(nib.orientations.inv_ornt_aff(axes, (2, 2, 2))))


def _tilted(own: Grid, rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    """Return the affine of a tilted and shifted slab."""
    turn = np.eye(4)
    turn[:3, :3] = rotation(rng.normal(0, _TILT_SD_DEG, 3))
    affine = turn @ own.affine
    middle = affine[:3, :3] @ (np.array(own.shape) - 1) / 2
    affine[:3, 3] = rng.uniform(-20, 20, 3) - middle
    return affine
