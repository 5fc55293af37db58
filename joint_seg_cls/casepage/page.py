"""The page of one scan: diagnosis, lesions, viewer, slices and model, in one HTML file that loads nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.casepage.boxes import Box, boxes_of
from joint_seg_cls.casepage.case import Case
from joint_seg_cls.casepage.columns import LesionColumns, lesion_columns
from joint_seg_cls.casepage.diagnosis import Diagnosis, diagnosis_of
from joint_seg_cls.casepage.hidden import HIDDEN, without_names
from joint_seg_cls.casepage.key_slices import KeySlice, jpeg, key_slices, thumbnail
from joint_seg_cls.casepage.render import LARGEST_PAGE, niivue, render
from joint_seg_cls.casepage.volumes import ViewerVolume, lesion_points_mm, viewer_volumes

#: Voxels of the viewer's volumes: at first, and by which factor fewer if the page is too large.
_MOST_VOXELS, _FEWER = 6_000_000, 0.6
#: Terms for entries of a record's description of the network.
_MODEL = {
    "variant": "Network",
    "trained_on": "Trained on",
    "epoch": "Epoch",
    "lesion_threshold": "Lesion threshold",
    "least_lesion_mm3": "Smallest lesion (mm³)",
    "sha256": "Weights (SHA-256)",
}
#: Those that only describe a diagnosis.
_OF_DIAGNOSIS = frozenset({"temperature", "calibration_scans"})


@final
@dataclass(frozen=True, eq=False)
class CaseSummary:
    """The findings of a case as text, shared by the page and the PDF.

    Attributes:
        name: the base name, or :data:`HIDDEN`.
        subtitle: what was predicted and when.
        diagnosis: None for a network that does not classify.
        lesion_count: None for a network that does not segment.
        lesion_volume: total volume in millilitres, as text.
        facts: further terms and values.
        boxes: further parts of the record, such as totals by region.
        columns: the lesion table.
        model: terms and values that describe the network.
    """

    name: str
    subtitle: str
    warnings: tuple[str, ...]
    diagnosis: Diagnosis | None
    lesion_count: int | None
    lesion_volume: str
    facts: tuple[tuple[str, str], ...]
    boxes: tuple[Box, ...]
    columns: LesionColumns
    model: tuple[tuple[str, str], ...]


def summary_of(case: Case, *, hide_name: bool = False) -> CaseSummary:
    """Return the findings of a case as text; with ``hide_name``, no text has the name of the scan or its files."""
    record = case.record
    if hide_name:
        record = {**record, "warnings": [without_names(line, record) for line in record["warnings"]]}
    count = record.get("lesion_count")
    classes = record.get("classes")
    kind = f"network for {', '.join(map(str, classes))}" if "disease_probability" in record and classes else ""
    model = record.get("model")
    shown = {} if not isinstance(model, Mapping) else model if kind else _without_diagnosis(model)
    network = str(model.get("variant", "")) if isinstance(model, Mapping) else ""
    return CaseSummary(
        name=HIDDEN if hide_name else case.name,
        subtitle=" · ".join(part for part in (f"Predicted {case.date}" if case.date else "", network, kind) if part),
        warnings=tuple(record["warnings"]),
        diagnosis=diagnosis_of(record),
        lesion_count=None if count is None else int(count),
        lesion_volume=_volume(record.get("lesion_volume_ml")),
        facts=tuple(_facts(case)),
        boxes=boxes_of(record, case.table),
        columns=lesion_columns(case.table),
        model=tuple(_terms(shown)),
    )


def write_case_page(case: Case, path: Path, *, hide_name: bool = False) -> list[KeySlice]:
    """Write the page of a case. Atomic; at most 15 MB, for which the viewer's volumes become coarser if needed.

    Args:
        hide_name: whether the page omits the scan's name.

    Returns:
        The static pictures, for :func:`~joint_seg_cls.casepage.pdf.write_case_pdf`.
    """
    head = case.cropped()
    slices = key_slices(head)
    summary = summary_of(case, hide_name=hide_name)
    write_text(
        path,
        within_size(lambda most: _page(head, slices, summary, viewer_volumes(head, most), can_hide=not hide_name)),
    )
    return slices


def within_size(page: Callable[[int], str]) -> str:
    """Return ``page(voxels)`` of at most :data:`LARGEST_PAGE` bytes; the viewer gets fewer voxels until that holds."""
    most = _MOST_VOXELS
    while True:
        text = page(most)
        if len(text.encode("utf-8")) <= LARGEST_PAGE or most < 1000:
            return text
        most = int(most * _FEWER)


def _page(
    head: Case, slices: list[KeySlice], summary: CaseSummary, volumes: list[ViewerVolume], *, can_hide: bool
) -> str:
    has_map = "location" in head.maps
    return render(
        "case.html.j2",
        **vars(summary),
        can_hide=can_hide,
        thumbnail=thumbnail(slices),
        diagnosis_notes=(),
        lesion_notes=(),
        slices=slices,
        slices_note=slices_note(has_lesions=bool(head.ids), has_map=has_map, modalities=tuple(head.images)),
        jpeg=jpeg,
        volumes=volumes,
        data=page_data(head, volumes, [f"lesion {name}" for name in head.ids]),
        niivue=niivue(),
    )


def page_data(head: Case, volumes: list[ViewerVolume], names: Sequence[str]) -> dict[str, Any]:
    """Return what the script of a page reads: the volumes' colours, and the ``names`` and positions of the lesions."""
    points = [] if head.labels is None else lesion_points_mm(head.labels, head.grid)
    return {
        "volumes": [
            {
                "key": volume.key,
                "levels": volume.levels,
                "colours": volume.colours,
                "is_visible": volume.is_visible,
                "is_image": volume.is_image,
            }
            for volume in volumes
        ],
        "lesions": points,
        "names": list(names),
        "start": next((point for point in _largest_first(head, points) if point), None),
    }


def slices_note(*, has_lesions: bool, has_map: bool, modalities: Sequence[str]) -> str:
    """Return the legend of the static pictures."""
    parts = ["Slices with much lesion; lesions are outlined in orange." if has_lesions else "Evenly spread slices."]
    if len(modalities) > 1:
        first, *others = (name.upper() for name in modalities)
        parts.append(f"{first}; below it the same slice of {', '.join(others)}.")
    if has_map:
        parts.append("Below each, the location map: bright voxels raise the score of the predicted disease.")
    return " ".join(parts)


def _largest_first(head: Case, points: list[list[float]]) -> list[list[float]]:
    """Return the lesions' points by decreasing volume, or in the order of the table if that has no volume."""
    if "volume_ml" not in head.table:
        return points
    volumes = [float(value) for value in head.table["volume_ml"]]
    return [points[row] for row in sorted(range(len(points)), key=lambda row: -volumes[row])]


def _facts(case: Case) -> list[tuple[str, str]]:
    record, spacing = case.record, " × ".join(f"{side:.2f}" for side in case.grid.spacing_mm)
    facts = [("Brain volume", f"{float(record['brain_volume_ml']):.0f} mL")]
    if record.get("lesion_count") and float(record["brain_volume_ml"]) > 0:
        share = 100 * float(record["lesion_volume_ml"]) / float(record["brain_volume_ml"])
        facts.append(("Lesions in the brain", f"{share:.2g} %"))
    return [*facts, ("Voxel size", f"{spacing} mm")]


def _without_diagnosis(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key not in _OF_DIAGNOSIS}


def _terms(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the plain entries of a record's description of the network."""
    terms = []
    for key, value in model.items():
        if value is None or isinstance(value, Mapping):
            continue
        parts = [str(each) for each in (value if isinstance(value, list | tuple) else [value])]
        if key == "members":
            parts = [f"{len(parts)} networks"]
        text = ", ".join(part[:16] if key == "sha256" else part for part in parts)
        terms.append((_MODEL.get(key, key.replace("_", " ").capitalize()), text))
    return terms


def _volume(value: Any) -> str:
    return "" if value is None else f"{float(value):.2f}" if float(value) < 10 else f"{float(value):.1f}"
