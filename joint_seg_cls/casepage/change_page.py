"""The page of two visits of one person: what is new, grown, shrunk and gone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.casepage.case import Case
from joint_seg_cls.casepage.columns import Cell
from joint_seg_cls.casepage.diagnosis import diagnosis_of
from joint_seg_cls.casepage.hidden import HIDDEN, without_names
from joint_seg_cls.casepage.key_slices import jpeg, key_slices
from joint_seg_cls.casepage.page import page_data, within_size
from joint_seg_cls.casepage.render import niivue, render
from joint_seg_cls.casepage.visits import FACTOR, KINDS, LEAST_CHANGE_ML, Kind, LesionChange, VisitComparison
from joint_seg_cls.casepage.volumes import viewer_volumes
from joint_seg_cls.scan.cells import write_table

#: Colours of Okabe and Ito, as red, green and blue in [0, 1].
COLOURS: dict[Kind, tuple[float, float, float]] = {
    "new": (0.84, 0.37, 0.0),
    "grown": (0.8, 0.47, 0.65),
    "shrunk": (0.0, 0.62, 0.45),
    "gone": (0.34, 0.71, 0.91),
    "unseen": (0.6, 0.6, 0.6),
    "stable": (0.94, 0.89, 0.26),
}
_COLUMNS = ("change", "lesions_before", "lesions_after", "volume_before_ml", "volume_after_ml")
_HEADINGS = ("Change", "Earlier lesion", "Lesion now", "Earlier (mL)", "Now (mL)", "Difference (mL)")


def write_change_page(
    found: VisitComparison,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    path: Path,
    *,
    hide_names: bool = False,
) -> None:
    """Write the page of a comparison. Atomic; at most 15 MB.

    Args:
        hide_names: whether the page omits the names of the scans.
    """
    colours = {row: COLOURS[change.kind] for row, change in enumerate(found.lesions, start=1)}
    now, earlier = _cropped(found)
    further = list(earlier.images.items())[1:]
    overlays = {"earlier": earlier.image} | {f"earlier {name}": image for name, image in further}
    changed = [row for row, change in enumerate(found.lesions, start=1) if change.kind != "stable"]
    chosen = pd.Series(range(len(found.lesions) + 1)).isin(changed).to_numpy()[now.labels]
    slices = [
        replace(cut, mapped=other.outlined)
        for cut, other in zip(
            key_slices(now, mask=chosen, colours=colours),
            key_slices(earlier, mask=chosen, colours=colours),
            strict=True,
        )
    ]

    def page(most_voxels: int) -> str:
        volumes = viewer_volumes(replace(now, maps=overlays), most_voxels, colours)
        return render(
            "change.html.j2",
            names=("the earlier scan", HIDDEN) if hide_names else (str(before["id"]), str(after["id"])),
            can_hide=not hide_names,
            warnings=[*doubts(found, before, after), *_of_scans(before, after, hide_names=hide_names)],
            counts=_counts(found),
            totals=_totals(before, after),
            headings=_HEADINGS,
            rows=[_row(change) for change in found.lesions],
            rule=f"A lesion has grown or shrunk if its volume differs by a factor of {FACTOR:g} and by "
            f"{LEAST_CHANGE_ML:g} mL; an unseen one lies outside the field of view of the other scan. "
            "Two segmentations of an unchanged brain differ as well: check each lesion in the images.",
            moved=f"The earlier scan was turned by {found.rotation_degrees:.1f}° and moved by {found.shift_mm:.1f} mm; "
            f"after this the images correlate by {found.correlation:.2f}.",
            slices=slices,
            jpeg=jpeg,
            volumes=volumes,
            data=page_data(now, volumes, [change.kind for change in found.lesions]),
            niivue=niivue(),
        )

    write_text(path, within_size(page))


def write_change_table(found: VisitComparison, path: Path) -> None:
    """Write one row per lesion: change, ids and volumes at both visits. Atomic."""
    rows = [
        {
            "change": change.kind,
            "lesions_before": ",".join(change.before),
            "lesions_after": ",".join(change.after),
            "volume_before_ml": change.before_ml,
            "volume_after_ml": change.after_ml,
        }
        for change in found.lesions
    ]
    write_table(pd.DataFrame(rows, columns=list(_COLUMNS)), path)


def is_change_table(path: Path) -> bool:
    """Return whether a file begins as :func:`write_change_table` writes it."""
    head = "\t".join(_COLUMNS).encode()
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _cropped(found: VisitComparison) -> tuple[Case, Case]:
    """Return both visits cropped to one box."""
    earlier = found.earlier
    named = {f"image {name}": image for name, image in earlier.images.items()}
    now = replace(found.now, maps={"image": earlier.image, "labels": earlier.labels, **named}).cropped()
    images = {name: now.maps[f"image {name}"] for name in earlier.images}
    cut = replace(now, image=now.maps["image"], labels=now.maps["labels"], images=images, maps={})
    return replace(now, maps={}), cut


def _counts(found: VisitComparison) -> list[dict[str, Any]]:
    counts = []
    for kind in KINDS:
        changes = [change for change in found.lesions if change.kind == kind]
        difference = sum(change.after_ml - change.before_ml for change in changes)
        red, green, blue = (round(255 * part) for part in COLOURS[kind])
        text = "" if kind in ("stable", "unseen") or not changes else f"{difference:+.2f} mL"
        counts.append({"kind": kind, "count": len(changes), "ml": text, "colour": f"rgb({red},{green},{blue})"})
    return counts


def _totals(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for term, key, digits in (
        ("Lesions", "lesion_count", 0),
        ("Lesion volume (mL)", "lesion_volume_ml", 2),
        ("Brain volume (mL)", "brain_volume_ml", 0),
    ):
        if key in before and key in after:
            rows.append((term, f"{float(before[key]):.{digits}f}", f"{float(after[key]):.{digits}f}"))
    answers = [diagnosis_of(record) for record in (before, after)]
    if any(answers):
        texts = ["–" if each is None else f"{each.answer} ({each.probability:.2f})" for each in answers]
        rows.append(("Diagnosis (probability)", texts[0], texts[1]))
    return rows


def doubts(found: VisitComparison, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return why the changes may not be those of the brain, as sentences."""
    lines = []
    if not found.is_reliable:
        lines.append(
            f"The scans agree poorly after registration (correlation {found.correlation:.2f}): "
            "do not rely on the changes."
        )
    if before.get("model") != after.get("model"):
        lines.append("The visits were segmented by different networks: changes may be those of the network.")
    return lines


def _of_scans(before: Mapping[str, Any], after: Mapping[str, Any], *, hide_names: bool) -> list[str]:
    return [
        f"{which} scan: {without_names(line, record) if hide_names else line}"
        for which, record in (("Earlier", before), ("Later", after))
        for line in record["warnings"]
    ]


def _row(change: LesionChange) -> tuple[Cell, ...]:
    difference = change.after_ml - change.before_ml
    return (
        Cell(change.kind.capitalize(), str(KINDS.index(change.kind))),
        Cell(", ".join(change.before) or "–", ", ".join(change.before) or None),
        Cell(", ".join(change.after) or "–", ", ".join(change.after) or None),
        Cell(f"{change.before_ml:.2f}" if change.before else "–", change.before_ml),
        Cell(f"{change.after_ml:.2f}" if change.after else "–", change.after_ml),
        Cell(f"{difference:+.2f}" if abs(difference) >= 0.005 else "0.00", difference),
    )
