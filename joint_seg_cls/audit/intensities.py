"""Intensities that no scanner gives: negative ones, ones cut off at a ceiling, ones that were standardised before."""

from pathlib import Path

import numpy as np
from jaxtyping import Num

from joint_seg_cls.audit.finding import Finding

#: Share of tissue that may be negative by interpolation (1 % in two real scans), or lie at the highest value by chance.
_SOME_NEGATIVE, _SOME = 0.02, 1e-3
#: Mean and spread of standardised intensities lie this near 0 and 1.
_NEAR = 0.1


def check_intensities(case: str, path: Path, values: Num[np.ndarray, " voxels"]) -> list[Finding]:
    """Look at the intensities of tissue (voxels that are not background)."""
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
                "intensities as the scanner gave them",
                f"mean {mean:.2f} and standard deviation {spread:.2f}: already standardised",
                "nothing needs to be done, since preprocessing standardises again; N4 needs the original values",
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
                "export the magnitude image, or find out which step subtracted something",
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
                "few voxels with the highest intensity",
                f"{100 * at_ceiling:.2g} % of tissue at exactly {highest:g}: cut off by a conversion",
                "export with a wider integer type or a smaller slope",
                (case,),
                str(path),
            )
        )
    return findings
