"""Preprocessing of one row of the cohort table into one prepared case."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, Float32

from joint_seg_cls import __version__
from joint_seg_cls.errors import ScanError, require_choice
from joint_seg_cls.preprocess.bias_field import BiasField
from joint_seg_cls.preprocess.brain import Brain, BrainMask
from joint_seg_cls.preprocess.intensity import Intensity, extremes
from joint_seg_cls.preprocess.layout import Layout
from joint_seg_cls.preprocess.quality import lesion_figures, warnings_of
from joint_seg_cls.preprocess.raters import RaterRule, combine_raters
from joint_seg_cls.preprocess.registration import Registered, Registration
from joint_seg_cls.scan import (
    CohortCase,
    Geometry,
    Grid,
    LesionValue,
    MaskGeometry,
    PreparedCase,
    Scan,
    read_mask,
    read_scan,
    refuse_mask,
    require_lesion_value,
    require_mask_geometry,
    write_case,
)


@final
@dataclass(frozen=True, eq=False)
class ModelInput:
    """The network's input for one scan, the geometry to map results back, and quality measures.

    Attributes:
        scans: the modalities as read.
        brain: brain mask on the grid of the first modality.
        image: the modalities in model space.
        brain_mask: brain mask in model space.
        geometry: the scan's own grid and the network's.
        brain_ml: volume of the brain in the scan's own grid.
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
class Pipeline:
    """The preprocessing of one scan, the same in training and in prediction.

    Steps: read; resample all modalities to the grid of the first; find the brain; correct each modality's bias field;
    place the network's grid and resample to it (linear; masks nearest neighbour); normalise intensities.

    Args:
        brain: finds the brain on the scan's own grid.
        bias_field: corrects the bias field of each modality, on the scan's own grid.
        registration: resamples further modalities to the grid of the first.
        layout: places the model grid.
        intensity: normalises each modality.
        raters: rule that combines several lesion masks of a scan.
        lesion_value: value or values of lesion voxels in masks; None if masks contain only 0 and 1.
        mask_geometry: whether masks use their own headers or the scan's.

    Raises:
        ConfigError: ``raters``, ``lesion_value`` or ``mask_geometry`` is invalid.
    """

    def __init__(
        self,
        brain: BrainMask,
        bias_field: BiasField,
        registration: Registration,
        layout: Layout,
        intensity: Intensity,
        raters: RaterRule,
        lesion_value: LesionValue = None,
        mask_geometry: MaskGeometry = "header",
    ) -> None:
        require_choice("preprocess.raters", raters, RaterRule)
        require_lesion_value(lesion_value)
        self.brain = brain
        self.bias_field = bias_field
        self.registration = registration
        self.layout = layout
        self.intensity = intensity
        self.raters: RaterRule = raters
        self.lesion_value: LesionValue = lesion_value
        self.mask_geometry: MaskGeometry = require_mask_geometry(mask_geometry)

    def model_input(self, images: Sequence[Path], brain_mask: Path | None) -> ModelInput:
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
        given = None if brain_mask is None else self._mask(brain_mask, first, of="brain")
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

    def reference(self, masks: Sequence[Path], scan: Scan) -> Bool[np.ndarray, "x y z"] | None:
        """Read the raters' lesion masks of a scan and combine them; None if there are none.

        Raises:
            ScanError: a mask is invalid or has another grid.
        """
        read = [self._mask(path, scan) for path in masks]
        return combine_raters(read, self.raters) if read else None

    def _mask(self, path: Path, scan: Scan, of: Literal["lesion", "brain"] = "lesion") -> Bool[np.ndarray, "x y z"]:
        return read_mask(
            path,
            scan.grid,
            of=of,
            lesion_value=self.lesion_value if of == "lesion" else None,
            geometry=self.mask_geometry,
            other=None if scan.head is None else scan.head.other,
        )

    def prepare(self, row: CohortCase, folder: Path, key: str) -> PreparedCase:
        """Preprocess one row of the table and write it to ``folder``."""
        prepared = self.model_input(row.images, row.brain_mask)
        lesions = self.reference(row.lesion_masks, prepared.scan)
        figures = dict(prepared.figures)
        figures["sources"] = [path.name for path in (*row.images, row.brain_mask, *row.lesion_masks) if path]
        figures["image_hash"] = content_hash(row.images[0])
        figures["lesions"] = model_lesions = None
        if lesions is not None:
            model_lesions = prepared.geometry.to_model(lesions, linear=False)
            figures["lesions"] = lesion_figures(lesions, model_lesions, prepared.geometry, len(row.lesion_masks))
        case = PreparedCase(
            folder=folder,
            case=row.case,
            subject=row.subject,
            session=row.session,
            disease=row.disease,
            has_lesion_mask=lesions is not None,
            key=key,
            geometry=prepared.geometry,
            columns=row.columns,
            provenance=figures | {"warnings": warnings_of(figures)},
        )
        write_case(
            case,
            image=prepared.image,
            brain_mask=prepared.brain_mask,
            lesion_mask=model_lesions,
            lesion_mask_native=lesions,
        )
        return case

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


def content_hash(path: Path) -> str:
    """Return a fingerprint of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


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
        "covered_share": covered_share,
        "field_p99_over_p1": field_p99_over_p1,
    }
