"""Comparison of the scans of a cohort: orientation of axes and scale of intensities."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding, Severity

#: Intensities in arbitrary units differ between scanners, but rarely by more than these factors.
_NOTE_FACTOR, _WARNING_FACTOR = 10.0, 100.0


def check_orientations(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Note different orientations of axes."""
    counts = Counter(scan.axes for scan in scans if scan.axes)
    if len(counts) < 2:
        return []
    found = "axes are " + ", ".join(f"{axes} ({count})" for axes, count in counts.most_common())
    remedy = "no action needed: all are reoriented to RAS+, and results are written in each scan's own orientation"
    return [Finding("note", "orientations", "one orientation of axes", found, remedy)]


def check_levels(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Report scans whose intensities differ from the others by orders of magnitude."""
    levels = {scan.case: scan.level for scan in scans if scan.level is not None and scan.level > 0}
    if len(levels) < 3:
        return []
    middle = float(np.median([math.log10(level) for level in levels.values()]))
    findings = []
    ranges: tuple[tuple[Severity, float, float], ...] = (
        ("warning", _WARNING_FACTOR, math.inf),
        ("note", _NOTE_FACTOR, _WARNING_FACTOR),
    )
    for severity, low, high in ranges:
        odd = tuple(
            case
            for case, level in levels.items()
            if math.log10(low) <= abs(math.log10(level) - middle) < math.log10(high)
        )
        if odd:
            named = ", ".join(f"{levels[case]:.3g}" for case in odd[:5])
            findings.append(
                Finding(
                    severity,
                    "intensities",
                    f"medians within a factor of {low:g} of the cohort's {10**middle:.3g}",
                    f"medians of {named}, a factor of {low:g} from the cohort's {10**middle:.3g}",
                    "check how these were exported; standardisation hides the factor but not a loss of precision",
                    odd,
                )
            )
    return findings
