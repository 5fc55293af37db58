"""Scans that appear twice, and scans of two subjects that look like one person."""

from collections.abc import Sequence

from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.audit.signature import alike, groups

#: Correlation of signatures. Measured for one scan at different voxel sizes: 0.90 to 0.98 at 2 mm (simulated) and 0.945
#: to 0.996 (real); for two visits of one real person 0.95, of simulated ones 0.43 to 0.82; for two people at most 0.66
#: (2,138 simulated pairs, three real ones).
ALIKE = 0.85
#: Minimum correlation for two visits of one subject to be one scan.
SAME_SCAN = 0.98


def duplicate_groups(scans: Sequence[ScanFacts]) -> list[list[int]]:
    """Return the positions of scans with the same voxel values."""
    return groups([scan.contents for scan in scans])


def check_duplicates(scans: Sequence[ScanFacts]) -> list[Finding]:
    """Report duplicate scans: an error, or a warning if all are of one subject or only similar."""
    findings = []
    same: set[tuple[int, int]] = set()
    for group in duplicate_groups(scans):
        same |= {(one, other) for one in group for other in group}
        cases, subjects = tuple(scans[one].case for one in group), sorted({scans[one].subject for one in group})
        diseases = sorted({name for one in group if (name := scans[one].disease)})
        several = len(subjects) > 1
        named = f" and {len(diseases)} diseases ({', '.join(diseases)})" if len(diseases) > 1 else ""
        findings.append(
            Finding(
                "error" if several or len(diseases) > 1 else "warning",
                "duplicates",
                "each scan once",
                f"the same voxels in {' and '.join(cases)}, under {len(subjects)} subject{'s' * several}{named}",
                "keep only one of them in the table",
                cases,
            )
        )
    for one, other, correlation in alike([scan.signature for scan in scans], ALIKE):
        if (one, other) not in same and (scans[one].subject != scans[other].subject or correlation >= SAME_SCAN):
            findings.append(_alike(scans[one], scans[other], correlation))
    return findings


def _alike(one: ScanFacts, other: ScanFacts, correlation: float) -> Finding:
    several = one.subject != other.subject
    return Finding(
        "warning",
        "duplicates",
        "different people under different subjects" if several else "each scan once",
        f"{one.case} and {other.case}, as similar as one resampled scan{' or two of one person' * several} "
        f"(correlation {correlation:.3f})",
        "compare the two pictures; if they are one person, give both the same subject"
        if several
        else "compare the two pictures and keep only one of them in the table",
        (one.case, other.case),
    )
