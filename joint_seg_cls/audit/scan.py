"""Audit of a single scan without a reference; used by prediction."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.audit.headers import check_header
from joint_seg_cls.audit.intensities import check_intensities
from joint_seg_cls.scan import Scan


def check_scan(case: str, scans: Sequence[Scan], brain: Bool[np.ndarray, "x y z"]) -> list[Finding]:
    """Check the headers of a scan's modalities, and the intensities of the first inside the ``brain``."""
    findings = [finding for scan in scans if scan.head is not None for finding in check_header(case, scan.head)]
    return findings + check_intensities(case, scans[0].path, scans[0].data[brain])
