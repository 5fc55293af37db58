"""Findings of one scan with their lesion table, record and figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
from jaxtyping import Float32
from matplotlib.figure import Figure

from joint_seg_cls.audit import check_scan
from joint_seg_cls.inference.abstention import INDETERMINATE, Limits, answer
from joint_seg_cls.inference.anatomy import locate
from joint_seg_cls.inference.familiarity import TrainingScans
from joint_seg_cls.inference.field_of_view import cut_sides
from joint_seg_cls.inference.findings import Findings
from joint_seg_cls.inference.lesion_rows import lesion_rows
from joint_seg_cls.pictures import draw_planes
from joint_seg_cls.preprocess import ModelInput, warnings_of
from joint_seg_cls.scan import reorient


@final
@dataclass(frozen=True, eq=False)
class CaseFindings:
    """Findings of one scan in its own grid.

    Attributes:
        name: of the scan; prefix of output files.
        prepared: the scan, its brain, and the network's input.
        maps: mask and maps in the scan's own grid, class probabilities.
        classes: names of the diseases in the order of their class codes.
        lesion_table: see :func:`~joint_seg_cls.inference.lesion_rows.lesion_rows`; None without segmentation.
        record: plain values for JSON: ``disease_probability``, ``lesion_count``, ``warnings``, ``model``, ...
        grad_cam: Grad-CAM of the most probable class; None unless it was requested.
    """

    name: str
    prepared: ModelInput
    maps: Findings
    classes: tuple[str, ...]
    lesion_table: pd.DataFrame | None
    record: dict[str, Any]
    grad_cam: Float32[np.ndarray, "x y z"] | None = None

    def show(self, columns: int = 3) -> Figure:
        """Draw the slices with most lesion in three planes, lesions outlined.

        With an interactive backend of matplotlib the figure is also shown in a window; a notebook draws the returned
        figure.

        Args:
            columns: slices per plane.
        """
        from matplotlib import pyplot as plt
        from matplotlib.backends import BackendFilter, backend_registry

        scan, lesions = self.prepared.scan, self.maps.lesions
        canonical = scan.grid.canonical()
        figure = plt.figure(figsize=(2.5 * columns, 8), facecolor="black")
        draw_planes(
            figure,
            reorient(scan.data, scan.grid, canonical),
            None if lesions is None else reorient(lesions, scan.grid, canonical),
            spacing_mm=canonical.spacing_mm,
            heading=self.summary,
            columns=columns,
        )
        if plt.get_backend().lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
            plt.show()
        else:
            plt.close(figure)
        return figure

    def save(self, folder: str | Path) -> None:
        """Write the files of ``jsc predict``, see :func:`~joint_seg_cls.inference.write_findings`.

        Raises:
            CohortError: the folder has a file of other origin with the name of an output.
        """
        from joint_seg_cls.inference.existing import refuse_foreign_files
        from joint_seg_cls.inference.write import write_findings

        out = Path(folder).expanduser()
        refuse_foreign_files([self.name], out)
        write_findings(self, out)

    @property
    def summary(self) -> str:
        """One line: name, class probabilities, number and volume of lesions."""
        return summary_of(self.record)


def summary_of(record: Mapping[str, Any]) -> str:
    """Return the line of a record: name, class probabilities, number and volume of lesions."""
    parts = []
    if "disease_probability" in record:
        parts.append(", ".join(f"{name} {value:.2f}" for name, value in record["disease_probability"].items()))
        if record.get("diagnosis") == INDETERMINATE:
            parts.append(INDETERMINATE)
    if "lesion_count" in record:
        parts.append(f"{record['lesion_count']} lesions, {record['lesion_volume_ml']:.1f} mL")
    return ": ".join(filter(None, [record["id"], "; ".join(parts)]))


def case_findings(
    name: str,
    prepared: ModelInput,
    found: Findings,
    *,
    classes: Sequence[str],
    model: Mapping[str, Any],
    trained: TrainingScans | None = None,
    limits: Limits | None = None,
    more: Mapping[str, Any] | None = None,
    grad_cam: Float32[np.ndarray, "x y z"] | None = None,
) -> CaseFindings:
    """Return the findings of a scan with their lesion table and record.

    Args:
        found: the findings in the scan's own grid.
        classes: names of the diseases in the order of their class codes.
        trained: the training scans; a scan unlike them gets a warning and no diagnosis.
        limits: of the rule that gives no diagnosis, see :mod:`.abstention`.
        more: further entries of the record.
        grad_cam: Grad-CAM in the scan's own grid.
    """
    trained = trained or TrainingScans()
    native = prepared.geometry.native
    file_name = prepared.scan.path.name
    differences = trained.differences(prepared.image, native.spacing_mm, prepared.brain_ml, file_name)
    sides = " and ".join(cut_sides(prepared.brain, native))
    cut = [f"the brain is cut off at the {sides} border of the image: part of it is missing"] if sides else []
    table = lesion_rows(found, native)
    record: dict[str, Any] = {"id": name, "scan": file_name, "classes": list(classes)}
    if table is not None and found.lesions is not None:
        record["lesion_count"] = len(table)
        record["lesion_volume_ml"] = float(found.lesions.sum()) * native.voxel_ml
        located = locate(prepared, found, table)
        table = table.join(located.columns)
        record |= located.record
    registration = record.get("registration", {})
    withheld = registration.get("withheld")
    differences += trained.dark_cortex(registration.get("cortex_to_white"))
    if found.disease_probability is not None:
        record["disease"] = classes[int(found.disease_probability.argmax())]
        diagnosed = answer(
            found.disease_probability,
            classes,
            spread=found.disease_disagreement,
            lesion_count=None if table is None else len(table),
            lesion_free=trained.lesion_free,
            unlike=[*differences, *cut],
            poor_registration=f"the template does not fit the scan: {withheld}" if withheld and not cut else None,
            limits=limits,
        )
        record |= {"diagnosis": diagnosed.diagnosis, "reasons": list(diagnosed.reasons)}
    record |= _by_class(found, classes)
    record |= {"brain_volume_ml": prepared.brain_ml, "model": dict(model), "preprocessing": prepared.figures}
    unlike = [f"do not rely on these findings: {sentence}" for sentence in differences]
    record["warnings"] = [*unlike, *cut, *_warnings(name, prepared), *_of_findings(record, trained.lesion_free)]
    record["use"] = "research only; not a medical device"
    record |= more or {}
    return CaseFindings(name, prepared, found, tuple(classes), table, record, grad_cam)


def _by_class(found: Findings, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the entries of a record with one value per class."""
    values = {
        "disease_probability": found.disease_probability,
        "uncalibrated_probability": found.uncalibrated_probability,
        "disease_disagreement": found.disease_disagreement,
    }
    return {key: dict(zip(classes, each.tolist(), strict=True)) for key, each in values.items() if each is not None}


def _of_findings(record: Mapping[str, Any], lesion_free: Sequence[str]) -> list[str]:
    """Return the warnings that follow from the findings."""
    warnings = []
    if withheld := record.get("registration", {}).get("withheld"):
        warnings.append(f"the regions of lesions are withheld, because the template does not fit the scan: {withheld}")
    if record.get("lesion_count") == 0 and "disease" in record and record["disease"] not in lesion_free:
        warnings.append("no lesion was segmented; the diagnosis is not supported by one")
    return warnings


def _warnings(name: str, prepared: ModelInput) -> list[str]:
    """Return the warnings of audit and preprocessing for a scan."""
    audit = check_scan(name, prepared.scans, prepared.brain)
    return [finding.statement for finding in audit if finding.severity != "note"] + warnings_of(prepared.figures)
