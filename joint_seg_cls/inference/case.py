"""The findings of one scan with everything that is written, drawn and said about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
from matplotlib.figure import Figure

from joint_seg_cls.audit import check_scan
from joint_seg_cls.inference.anatomy import locate
from joint_seg_cls.inference.familiarity import Ranges, unlike
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
    """

    name: str
    prepared: ModelInput
    maps: Findings
    classes: tuple[str, ...]
    lesion_table: pd.DataFrame | None
    record: dict[str, Any]

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
        """Write the files of ``jsc predict``, see :func:`~joint_seg_cls.inference.write_findings`."""
        from joint_seg_cls.inference.write import write_findings

        write_findings(self, Path(folder).expanduser())

    @property
    def summary(self) -> str:
        """One line: name, class probabilities, number and volume of lesions."""
        return summary_of(self.record)


def summary_of(record: Mapping[str, Any]) -> str:
    """Return the line of a record: name, class probabilities, number and volume of lesions."""
    parts = []
    if "disease_probability" in record:
        parts.append(", ".join(f"{name} {value:.2f}" for name, value in record["disease_probability"].items()))
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
    intensities: Ranges | None = None,
    more: Mapping[str, Any] | None = None,
) -> CaseFindings:
    """Return the findings of a scan with their lesion table and record.

    Args:
        name: of the scan.
        prepared: the scan and its geometry.
        found: the findings in the scan's own grid.
        classes: names of the diseases in the order of their class codes.
        model: description of the network or the networks.
        intensities: range of the training images' quantiles; a scan far outside gets a warning.
        more: further entries of the record.
    """
    table = lesion_rows(found, prepared.geometry.native)
    record: dict[str, Any] = {"id": name, "scan": prepared.scan.path.name, "classes": list(classes)}
    if found.disease_probability is not None:
        record["disease"] = classes[int(found.disease_probability.argmax())]
        record["disease_probability"] = dict(zip(classes, found.disease_probability.tolist(), strict=True))
    if found.disease_disagreement is not None:
        record["disease_disagreement"] = dict(zip(classes, found.disease_disagreement.tolist(), strict=True))
    if table is not None and found.lesions is not None:
        record["lesion_count"] = len(table)
        record["lesion_volume_ml"] = float(found.lesions.sum()) * prepared.geometry.native.voxel_ml
        located = locate(prepared, found, table)
        table = table.join(located.columns)
        record |= located.record
    record |= {"brain_volume_ml": prepared.brain_ml, "model": dict(model), "preprocessing": prepared.figures}
    record["warnings"] = _warnings(name, prepared, record, intensities or {})
    record["use"] = "research only; not a medical device"
    record |= more or {}
    return CaseFindings(name, prepared, found, tuple(classes), table, record)


def _warnings(name: str, prepared: ModelInput, record: Mapping[str, Any], intensities: Ranges) -> list[str]:
    """Return what may make the findings wrong, the gravest first."""
    warnings = []
    if (sentence := unlike(prepared.image, intensities)) is not None:
        warnings.append(f"do not rely on these findings: {sentence}")
    if sides := cut_sides(prepared.brain, prepared.scan.grid):
        warnings.append(f"the brain is cut off at the {' and '.join(sides)} border of the image: part of it is missing")
    audit = check_scan(name, prepared.scans, prepared.brain)
    warnings += [finding.statement for finding in audit if finding.severity != "note"]
    warnings += warnings_of(prepared.figures)
    if reason := record.get("registration", {}).get("withheld"):
        warnings.append(f"the regions of lesions are withheld, because the template does not fit the scan: {reason}")
    if record.get("lesion_count") == 0 and "disease" in record:
        warnings.append("no lesion was segmented; the diagnosis is not supported by one")
    return warnings
