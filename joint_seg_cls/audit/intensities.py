"""Checks of intensities: negative, clipped or already standardised values."""

from pathlib import Path

import numpy as np
from jaxtyping import Num

from joint_seg_cls.audit.finding import Finding

#: Fraction of tissue allowed to be negative by interpolation (1 % in two real scans), or at the maximum by chance.
_SOME_NEGATIVE, _SOME = 0.02, 1e-3
#: Tolerance of mean and standard deviation of standardised intensities around 0 and 1.
_NEAR = 0.1


def check_intensities(case: str, path: Path, values: Num[np.ndarray, " voxels"]) -> list[Finding]:
    """Check the intensities of tissue (voxels that are not background)."""
    findings = []
    if values.size == 0:
        return findings
    mean, spread = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    negative = float((values < 0).mean())
    if abs(mean) < _NEAR and abs(spread - 1) < _NEAR:
        findings.append(
            Finding(
                "note",
                "intensities",
                "original intensities",
                f"mean {mean:.2f} and standard deviation {spread:.2f}: already standardised",
                "no action needed, because preprocessing standardises again; N4 needs the original values",
                (case,),
                str(path),
            )
        )
    elif negative > 0:
        findings.append(
            Finding(
                "warning" if negative > _SOME_NEGATIVE else "note",
                "intensities",
                "intensities of at least 0",
                f"{100 * negative:.2g} % of tissue negative, down to {values.min():g}",
                "export the magnitude image, or find the step that subtracted a value",
                (case,),
                str(path),
            )
        )
    highest = values.max()
    at_ceiling = float((values == highest).mean())
    if at_ceiling > _SOME and np.unique(values[:: max(values.size // 10000, 1)]).size > 2:
        findings.append(
            Finding(
                "warning",
                "intensities",
                "few voxels at the maximum intensity",
                f"{100 * at_ceiling:.2g} % of tissue at exactly {highest:g}: clipped by a conversion",
                "export with a wider integer type or a smaller slope",
                (case,),
                str(path),
            )
        )
    return findings
