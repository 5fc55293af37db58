"""From one row of the cohort table to one prepared case: brain, crop, resize, z-score, in this order."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float32

from joint_seg_cls import __version__
from joint_seg_cls.errors import ScanError
from joint_seg_cls.preprocess.brain import BrainMask
from joint_seg_cls.preprocess.intensity import ZScore
from joint_seg_cls.preprocess.layout import CropResize
from joint_seg_cls.preprocess.raters import RaterRule, combine_raters
from joint_seg_cls.scan import CohortCase, Geometry, LesionValue, PreparedCase, Scan, read_mask, read_scan, write_case


@final
@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the network sees of one scan, and the way back."""

    scan: Scan
    image: Float32[np.ndarray, "c x y z"]
    brain_mask: Bool[np.ndarray, "x y z"]
    geometry: Geometry
    brain_ml: float


@final
class Pipeline:
    """The preprocessing of one scan, as an ordered list of choices; the same in training and in prediction.

    Args:
        brain: finds the brain on the scan's own grid.
        layout: lays the model grid over the brain.
        intensity: sets the scale of each modality.
        raters: how several lesion masks of one scan are combined.
        lesion_value: the value, or the values, of lesion voxels in masks; None where masks hold 0 and 1.
    """

    def __init__(
        self,
        brain: BrainMask,
        layout: CropResize,
        intensity: ZScore,
        raters: RaterRule,
        lesion_value: LesionValue = None,
    ) -> None:
        self.brain = brain
        self.layout = layout
        self.intensity = intensity
        self.raters: RaterRule = raters
        self.lesion_value: LesionValue = lesion_value

    def model_input(self, images: Sequence[Path], brain_mask: Path | None) -> ModelInput:
        """Read and preprocess one scan; the first image (FLAIR) gives the native grid.

        Raises:
            ScanError: a file cannot be used, or the modalities lie on different grids.
        """
        scans = [read_scan(path) for path in images]
        native = scans[0].grid
        for other in scans[1:]:
            if other.grid.distance_mm(native) > min(native.spacing_mm) / 2:
                raise ScanError(
                    other.path,
                    expected=f"the grid of {scans[0].path.name} (shape {native.shape})",
                    found=f"another (shape {other.grid.shape})",
                    remedy="resample the modalities of a scan onto its FLAIR",
                )
        given = None if brain_mask is None else read_mask(brain_mask, native, of="brain")
        brain = self.brain(scans[0], given).mask
        geometry = self.layout(native, brain)
        inside = geometry.to_model(brain, linear=False)
        channels = [self.intensity(geometry.to_model(scan.data, linear=True), inside) for scan in scans]
        brain_ml = float(brain.sum()) * native.voxel_ml
        return ModelInput(scans[0], np.stack(channels).astype(np.float32), inside, geometry, brain_ml)

    def prepare(self, row: CohortCase, folder: Path, key: str) -> PreparedCase:
        """Preprocess one row of the table and write it to ``folder``."""
        seen = self.model_input(row.images, row.brain_mask)
        masks = [read_mask(path, seen.geometry.native, lesion_value=self.lesion_value) for path in row.lesion_masks]
        lesions = combine_raters(masks, self.raters) if masks else None
        case = PreparedCase(
            folder=folder,
            case=row.case,
            subject=row.subject,
            session=row.session,
            disease=row.disease,
            has_lesion_mask=lesions is not None,
            key=key,
            geometry=seen.geometry,
            columns=row.columns,
            provenance={
                "version": __version__,
                "sources": [path.name for path in (*row.images, *row.lesion_masks)],
                "spacing_mm": list(seen.geometry.native.spacing_mm),
                "axes": seen.geometry.native.axes,
                "brain_ml": seen.brain_ml,
            },
        )
        model_lesions = None if lesions is None else seen.geometry.to_model(lesions, linear=False)
        write_case(
            case, image=seen.image, brain_mask=seen.brain_mask, lesion_mask=model_lesions, lesion_mask_native=lesions
        )
        return case


def case_key(row: CohortCase, settings: dict[str, Any]) -> str:
    """Return what a prepared case depends on, as a hash: its files' content, its labels, and the settings."""
    digest = hashlib.sha256(json.dumps([settings, row.disease, row.columns, row.case], sort_keys=True).encode())
    for path in (*row.images, row.brain_mask, *row.lesion_masks):
        digest.update(path.read_bytes() if path is not None else b"none")
    return digest.hexdigest()[:32]
