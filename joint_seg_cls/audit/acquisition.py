"""Scans of one cohort beside each other: how their axes run, and how large their numbers are."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding, Severity

#: Arbitrary units differ from scanner to scanner, but seldom by more than these factors.
_NOTE_FACTOR, _WARNING_FACTOR = 10.0, 100.0


def check_orientations(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Note how axes run where they run in several ways."""
    counts = Counter(scan.axes for scan in scans if scan.axes)
    if len(counts) < 2:
        return []
    found = "axes run " + ", ".join(f"{axes} ({count})" for axes, count in counts.most_common())
    remedy = "nothing needs to be done: all are turned to RAS+, and results are written as each scan lies"
    return [Finding("note", "orientations", "one orientation of axes", found, remedy)]


def check_levels(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Tell scans whose intensities are of another order of magnitude than the others'."""
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
                    "find out how those were exported; standardising hides the factor but not what was lost in it",
                    odd,
                )
            )
    return findings
