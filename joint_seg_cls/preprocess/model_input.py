"""From the files of one scan to the network's input."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32

from joint_seg_cls import __version__
from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess.bias_field import BiasField
from joint_seg_cls.preprocess.brain import Brain, BrainMask
from joint_seg_cls.preprocess.intensity import Intensity, extremes
from joint_seg_cls.preprocess.layout import Layout
from joint_seg_cls.preprocess.registration import Registered, Registration
from joint_seg_cls.scan import Geometry, Grid, MaskGeometry, Scan, read_mask, read_scan, refuse_mask


@final
@dataclass(frozen=True, eq=False)
class ModelInput:
    """The network's input for one scan, the geometry to map results back, and quality measures.

    Attributes:
        image: the modalities in model space.
        geometry: the scan's own grid and the network's.
        figures: quality measures (see :mod:`joint_seg_cls.preprocess.quality`), without those of lesions.
    """

    scans: tuple[Scan, ...]
    brain: Bool[np.ndarray, "i j k"]
    image: Float32[np.ndarray, "c x y z"]
    brain_mask: Bool[np.ndarray, "x y z"]
    geometry: Geometry
    brain_ml: float
    figures: dict[str, Any]

    @property
    def scan(self) -> Scan:
        """The first modality, whose grid results are written on."""
        return self.scans[0]


@final
@dataclass(frozen=True)
class Steps:
    """The steps from the files of a scan to the network's input, in this order.

    Args:
        brain: finds the brain on the scan's own grid.
        bias_field: corrects the bias field of each modality, on the scan's own grid.
        registration: resamples further modalities to the grid of the first.
        layout: places the model grid.
        intensity: normalises each modality.
    """

    brain: BrainMask
    bias_field: BiasField
    registration: Registration
    layout: Layout
    intensity: Intensity

    def model_input(
        self, images: Sequence[Path], brain_mask: Path | None, mask_geometry: MaskGeometry = "header"
    ) -> ModelInput:
        """Read and preprocess one scan; the first image (FLAIR) defines the native grid.

        Raises:
            ScanError: a file is invalid or a mask, the modalities cannot be resampled to one grid, or a step refuses
                them.
        """
        first, *others = (read_scan(path) for path in images)
        for scan in (first, *others):
            refuse_mask(scan.path, scan.data)
        native = first.grid
        here = Registered(first.data, np.ones(native.shape, dtype=bool), np.eye(4), "same grid")
        registered = [here, *(self.registration(other, first) for other in others)]
        given = None if brain_mask is None else _brain_mask(brain_mask, first, mask_geometry)
        brain = self.brain(first, given)
        geometry = self._lay(first, brain)
        inside = geometry.to_model(brain.mask, linear=False)
        channels, modalities = [], []
        for scan, found in zip((first, *others), registered, strict=True):
            covered = brain.mask & found.covered
            corrected = self.bias_field(found.data, native, covered)
            visible = inside if found.covered.all() else inside & geometry.to_model(found.covered, linear=False)
            channels.append(self._scale(scan, geometry.to_model(corrected.image, linear=True), visible))
            share = float(covered.sum() / brain.mask.sum())
            record = _modality(scan, found, native, share, corrected.field_p99_over_p1)
            modalities.append(record | extremes(found.data[covered]))
        brain_ml = float(brain.mask.sum()) * native.voxel_ml
        figures = {
            "version": __version__,
            "sources": [path.name for path in images],
            "shape": list(native.shape),
            "spacing_mm": list(native.spacing_mm),
            "axes": native.axes,
            "model_spacing_mm": list(geometry.model.spacing_mm),
            "brain_ml": brain_ml,
            "brain_how": brain.how,
            "brain_doubt": brain.doubt,
            "cropped_share": geometry.cropped_share,
            "modalities": modalities,
        }
        image = np.stack(channels).astype(np.float32)
        return ModelInput((first, *others), brain.mask, image, inside, geometry, brain_ml, figures)

    def _lay(self, scan: Scan, brain: Brain) -> Geometry:
        with _naming(scan):
            return self.layout(scan.grid, brain.mask)

    def _scale(
        self, scan: Scan, image: Float32[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]
    ) -> Float32[np.ndarray, "x y z"]:
        with _naming(scan):
            return self.intensity(image, brain)


@contextmanager
def _naming(scan: Scan) -> Iterator[None]:
    """Add the file to errors of a step that receives only arrays."""
    try:
        yield
    except ScanError as error:
        raise ScanError(scan.path, expected=error.expected, found=error.found, remedy=error.remedy) from error


def _brain_mask(path: Path, scan: Scan, geometry: MaskGeometry) -> Bool[np.ndarray, "x y z"]:
    other = None if scan.head is None else scan.head.other
    return read_mask(path, scan.grid, of="brain", geometry=geometry, other=other)


def _modality(
    scan: Scan, found: Registered, native: Grid, covered_share: float, field_p99_over_p1: float | None
) -> dict[str, Any]:
    return {
        "file": scan.path.name,
        "shape": list(scan.grid.shape),
        "spacing_mm": list(scan.grid.spacing_mm),
        "axes": scan.grid.axes,
        "registration": found.how,
        "rotation_degrees": found.rotation_degrees,
        "shift_mm": found.shift_mm(native),
        "move": found.move.tolist(),
        "covered_share": covered_share,
        "field_p99_over_p1": field_p99_over_p1,
    }
