"""Optional parts of a prediction: a trust grade, an audited explanation."""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from joint_seg_cls.inference.abstention import Limits
from joint_seg_cls.inference.ensemble import Ensemble
from joint_seg_cls.inference.explanation import explain
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.inference.injected import trust
from joint_seg_cls.inference.predictor import Predictor
from joint_seg_cls.preprocess import ModelInput


@final
@dataclass(frozen=True)
class PredictionOptions:
    """Options of a prediction.

    Args:
        trust_grade: grade the segmentation by lesions put into the scan, see :mod:`.injected`.
        explain: audit the explanation of the diagnosis, see :mod:`.explanation`.
        limits: of the rule that gives no diagnosis, see :mod:`.abstention`.
    """

    trust_grade: bool = False
    explain: bool = False
    limits: Limits = field(default_factory=Limits)


def examine(
    options: PredictionOptions, predictor: Predictor | Ensemble, prepared: ModelInput, found: Findings
) -> tuple[dict[str, Any], Float32[np.ndarray, "X Y Z"] | None]:
    """Return the entries ``trust`` and ``explanation`` of a record, if requested, and Grad-CAM in the scan's grid.

    Maps of an ensemble are audited for its first member; deletion is that of the whole ensemble.
    """
    record: dict[str, Any] = {}
    cam = None
    if options.trust_grade:
        graded = trust(predictor, prepared, found, least_lesion_mm3=predictor.least_lesion_mm3)
        nothing = {"grade": None, "reason": "the network does not segment"}
        record["trust"] = nothing if graded is None else graded.record()
    if options.explain:
        first = predictor.members[0] if isinstance(predictor, Ensemble) else predictor
        explained = explain(
            predictor,
            first.network,
            prepared.image,
            found,
            brain=prepared.brain_mask,
            lesions=np.zeros_like(prepared.brain_mask) if found.lesions is None else found.lesions,
            voxel_ml=prepared.geometry.model.voxel_ml,
        )
        nothing = {"reason": "the network has no location maps"}
        record["explanation"] = nothing if explained is None else explained.record()
        cam = None if explained is None else prepared.geometry.to_native(explained.cam, linear=True)
    return record, cam
