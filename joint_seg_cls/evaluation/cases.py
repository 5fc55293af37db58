"""Test scans, from a prepared store or directly from a cohort table."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float32

from joint_seg_cls.errors import enough_memory
from joint_seg_cls.preprocess import Pipeline
from joint_seg_cls.scan import CohortCase, Geometry, PreparedCase

#: Remedy for too little memory.
MORE_MEMORY = "close other programs or use a machine with more memory, and repeat the command"


@final
@dataclass(frozen=True, eq=False)
class TestCase:
    """One scan with its labels; ``brain_mask`` is in model space, references are None without a lesion mask."""

    __test__ = False  # keeps pytest from collecting this class

    case: str
    subject: str
    session: str | None
    disease: str | None
    image: Float32[np.ndarray, "c x y z"]
    geometry: Geometry
    reference_model: Bool[np.ndarray, "x y z"] | None
    reference_native: Bool[np.ndarray, "X Y Z"] | None
    brain_mask: Bool[np.ndarray, "x y z"]


def from_store(case: PreparedCase) -> TestCase:
    """Open a prepared case.

    Raises:
        InputError: it cannot be opened, or memory is exhausted.
    """
    with enough_memory(case.case, remedy=MORE_MEMORY):
        mask = case.lesion_mask()
        return TestCase(
            case=case.case,
            subject=case.subject,
            session=case.session,
            disease=case.disease,
            image=np.asarray(case.image()),
            geometry=case.geometry,
            reference_model=None if mask is None else np.asarray(mask, dtype=bool),
            reference_native=case.lesion_mask_native(),
            brain_mask=np.asarray(case.brain_mask(), dtype=bool),
        )


def from_cohort(row: CohortCase, pipeline: Pipeline) -> TestCase:
    """Read and preprocess one row of a cohort table.

    Raises:
        InputError: its files are invalid, or memory is exhausted.
    """
    with enough_memory(row.images[0], remedy=MORE_MEMORY):
        prepared = pipeline.model_input(row.images, row.brain_mask)
        native = pipeline.reference(row.lesion_masks, prepared.scan)
        return TestCase(
            case=row.case,
            subject=row.subject,
            session=row.session,
            disease=row.disease,
            image=prepared.image,
            geometry=prepared.geometry,
            reference_model=None if native is None else prepared.geometry.to_model(native, linear=False),
            reference_native=native,
            brain_mask=prepared.brain_mask,
        )
