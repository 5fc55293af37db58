"""Several networks applied to one prepared image."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32

from joint_seg_cls.inference.findings import Findings, combined, on_native_grid
from joint_seg_cls.inference.predictor import Predictor
from joint_seg_cls.scan import Geometry


@final
class Ensemble:
    """Average the outputs of ``members`` over networks and views, with the interface of :class:`Predictor`.

    Threshold and least volume of a lesion are the means of the members'.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        self.members = tuple(members)
        self.lesion_threshold = float(np.mean([member.lesion_threshold for member in members]))
        self.least_lesion_mm3 = float(np.mean([member.least_lesion_mm3 for member in members]))

    def __call__(self, image: Float32[np.ndarray, "c x y z"], scan: str | Path = "image") -> Findings:
        """Return the findings in model space; arguments and errors as in :meth:`Predictor.__call__`."""
        samples = [member.samples(image, scan) for member in self.members]
        return combined(samples, image.shape[1:], self.lesion_threshold)

    def in_native_space(self, findings: Findings, geometry: Geometry) -> Findings:
        """Return findings on the scan's own grid, see :func:`~joint_seg_cls.inference.findings.on_native_grid`."""
        return on_native_grid(
            findings, geometry, lesion_threshold=self.lesion_threshold, least_lesion_mm3=self.least_lesion_mm3
        )
