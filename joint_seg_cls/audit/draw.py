"""Pictures of cases: those with findings first, then examples of each class and site."""

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest

import numpy as np
from jaxtyping import Bool, Num

from joint_seg_cls.audit.columns import site_column
from joint_seg_cls.audit.facts import ScanFacts
from joint_seg_cls.audit.finding import Finding
from joint_seg_cls.audit.raw import open_row
from joint_seg_cls.audit.rows import Row
from joint_seg_cls.parallel import mapped
from joint_seg_cls.pictures import BRAIN_COLOUR, PREDICTION_COLOUR, Picture, strip_png
from joint_seg_cls.scan import LesionValue, MaskGeometry, PreparedCase
from joint_seg_cls.scan.grid import bounding_box

_MARGIN = 2


def draw_rows(
    rows: Sequence[Row],
    scans: Sequence[ScanFacts],
    findings: Sequence[Finding],
    *,
    most: int,
    lesion_value: LesionValue,
    mask_geometry: MaskGeometry = "header",
    workers: int,
) -> list[Picture]:
    """Draw up to ``most`` rows of a cohort table; rows with unreadable images have no picture."""
    chosen = _chosen(scans, findings, most)
    draw = partial(_draw_row, lesion_value=lesion_value, mask_geometry=mask_geometry)
    drawn = mapped(draw, [rows[one] for one in chosen], workers=workers, label="draw", share=True)
    return [_captioned(png, scans[one], findings) for one, png in zip(chosen, drawn, strict=True) if png]


def draw_cases(cases: Sequence[PreparedCase], findings: Sequence[Finding], *, most: int, workers: int) -> list[Picture]:
    """Draw up to ``most`` prepared cases on the network's grid."""
    scans = [_facts(case) for case in cases]
    chosen = _chosen(scans, findings, most)
    drawn = mapped(_draw_case, [cases[one] for one in chosen], workers=workers, label="draw", share=True)
    return [_captioned(png, scans[one], findings) for one, png in zip(chosen, drawn, strict=True) if png]


def _chosen(scans: Sequence[ScanFacts], findings: Sequence[Finding], most: int) -> list[int]:
    """Return positions: cases with errors and warnings, then one of each class and site in turn."""
    cases = list(dict.fromkeys(case for one in findings if one.severity != "note" for case in one.cases))
    rank = {case: number for number, case in enumerate(cases)}
    first = sorted((n for n, scan in enumerate(scans) if scan.case in rank), key=lambda n: rank[scans[n].case])
    kinds: dict[tuple[str, str], list[int]] = {}
    site = site_column(scans)
    for number, scan in enumerate(scans):
        kinds.setdefault((scan.disease or "", scan.columns.get(site or "", "")), []).append(number)
    turns = [one for turn in zip_longest(*(own for _, own in sorted(kinds.items()))) for one in turn if one is not None]
    return list(dict.fromkeys([*first, *turns]))[:most]


def _captioned(png: bytes, scan: ScanFacts, findings: Sequence[Finding]) -> Picture:
    checks = dict.fromkeys(f.check for f in findings if f.severity != "note" and scan.case in f.cases)
    parts = [scan.disease or "disease unknown"]
    if scan.lesion_ml is not None:
        count = "" if scan.lesion_count is None else f"{scan.lesion_count} lesions, "
        parts.append(f"{count}{scan.lesion_ml:.1f} mL")
    elif not scan.has_reference:
        parts.append("no lesion mask")
    if checks:
        parts.append(f"see {', '.join(checks)}")
    return Picture(png, scan.case, "; ".join(parts), f"Slices of {scan.case} with its masks outlined")


def _draw_row(row: Row, *, lesion_value: LesionValue, mask_geometry: MaskGeometry) -> bytes | None:
    opened = open_row(row, lesion_value, mask_geometry)
    if opened is None:
        return None
    volume, lesions = opened
    brain = volume.tissue if volume.is_brain else None
    return _drawn(volume.image, volume.tissue, brain, lesions, volume.grid.spacing_mm)


def _draw_case(case: PreparedCase) -> bytes | None:
    lesions = case.lesion_mask()
    brain = np.asarray(case.brain_mask(), dtype=bool)
    image = np.asarray(case.image()[0])
    spacing = case.geometry.model.spacing_mm
    return _drawn(image, brain, brain, None if lesions is None else np.asarray(lesions, dtype=bool), spacing)


def _drawn(
    image: Num[np.ndarray, "x y z"],
    tissue: Bool[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"] | None,
    lesions: Bool[np.ndarray, "x y z"] | None,
    spacing_mm: tuple[float, float, float],
) -> bytes:
    shown = tissue if lesions is None else tissue | lesions
    box = bounding_box(shown, _MARGIN)
    masks = [(brain, BRAIN_COLOUR)] if brain is not None else []
    masks += [(lesions, PREDICTION_COLOUR)] if lesions is not None else []
    cut = [(mask[box], colour) for mask, colour in masks]
    return strip_png(np.asarray(image[box], dtype=np.float32), cut, spacing_mm=spacing_mm)


def _facts(case: PreparedCase) -> ScanFacts:
    """Return the facts for the caption of a prepared case, without opening its arrays."""
    figures = case.provenance.get("lesions") or {}
    return ScanFacts(
        case=case.case,
        subject=case.subject,
        disease=case.disease,
        columns=case.columns,
        has_reference=case.has_lesion_mask,
        lesion_ml=figures.get("native_ml"),
        lesion_count=figures.get("native_count"),
    )
