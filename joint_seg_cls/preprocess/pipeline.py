"""Preprocessing of one row of the cohort table into one prepared case."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Num

from joint_seg_cls.errors import require_choice
from joint_seg_cls.preprocess.bias_field import BiasField
from joint_seg_cls.preprocess.brain import BrainMask
from joint_seg_cls.preprocess.intensity import Intensity
from joint_seg_cls.preprocess.layout import Layout
from joint_seg_cls.preprocess.model_input import ModelInput, Steps
from joint_seg_cls.preprocess.quality import lesion_figures, warnings_of
from joint_seg_cls.preprocess.raters import RaterRule, combine_raters
from joint_seg_cls.preprocess.registration import Registration
from joint_seg_cls.scan import (
    CohortCase,
    LesionValue,
    MaskGeometry,
    PreparedCase,
    Scan,
    read_mask,
    require_lesion_value,
    require_mask_geometry,
    write_case,
)
from joint_seg_cls.scan.checksums import file_sha256


@final
class Pipeline:
    """The preprocessing of one scan, the same in training and in prediction.

    Steps: read; resample all modalities to the grid of the first; find the brain; correct each modality's bias field;
    place the network's grid and resample to it (linear; masks nearest neighbour); normalise intensities.

    Args:
        brain, bias_field, registration, layout, intensity: see :class:`.model_input.Steps`.
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
        steps = Steps(self.brain, self.bias_field, self.registration, self.layout, self.intensity)
        return steps.model_input(images, brain_mask, self.mask_geometry)

    def reference(self, masks: Sequence[Path], scan: Scan) -> Bool[np.ndarray, "x y z"] | None:
        """Read the raters' lesion masks of a scan and combine them; None if there are none.

        Raises:
            ScanError: a mask is invalid or has another grid.
        """
        other = None if scan.head is None else scan.head.other
        read = [
            read_mask(path, scan.grid, lesion_value=self.lesion_value, geometry=self.mask_geometry, other=other)
            for path in masks
        ]
        return combine_raters(read, self.raters) if read else None

    def prepare(self, row: CohortCase, folder: Path, key: str) -> PreparedCase:
        """Preprocess one row of the table and write it to ``folder``."""
        prepared = self.model_input(row.images, row.brain_mask)
        lesions = self.reference(row.lesion_masks, prepared.scan)
        figures = dict(prepared.figures)
        figures["sources"] = [path.name for path in (*row.images, row.brain_mask, *row.lesion_masks) if path]
        figures["image_hash"] = image_hash(row.images[0])
        figures["voxel_hash"] = voxel_hash(prepared.scan.data)
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


def image_hash(path: Path) -> str:
    """Return a fingerprint of a file, half of its SHA-256."""
    return file_sha256(path)[:32]


def voxel_hash(data: Num[np.ndarray, "x y z"]) -> str:
    """Return a fingerprint of a scan's values, whatever file and type they are stored as."""
    values = np.ascontiguousarray(data, dtype=np.float32)
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()[:32]
