"""Further parts of a record as boxes of the page: totals by region, trust grade, audited explanation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

#: Terms for the numbers of an audited map and of the deletion of lesions.
_MAPS = {"location_map": "Location map", "grad_cam": "Grad-CAM"}
_CRITERIA = {
    "dawson_finger": "Dawson's finger",
    "u_fibre": "U-fibre lesion",
    "body_and_temporal": "At the ventricle's body and inferior temporal",
    "one_third_rule": "One of the three",
}
_ANSWERS = {"true": "yes", "false": "no"}
_MAP_TERMS = {
    "lesion_share": "Share in lesions",
    "enrichment": "Times their share of the brain",
    "shuffled_similarity": "Similarity after shuffling weights",
}


@final
@dataclass(frozen=True)
class Box:
    """A part of the summary: a headline, lines of text, then a table; each may be empty."""

    title: str
    headline: str = ""
    lines: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def boxes_of(record: Mapping[str, Any], table: pd.DataFrame) -> tuple[Box, ...]:
    """Return the boxes for what a record and a lesion table hold."""
    return tuple(
        box
        for box in (_regions(record, table), _criteria(record), _trust(record), _explanation(record))
        if box is not None
    )


def _regions(record: Mapping[str, Any], table: pd.DataFrame) -> Box | None:
    withheld = _mapping(record.get("registration")).get("withheld")
    if withheld:
        return Box("Regions", "Withheld", [str(withheld)])
    if "region" not in table or "volume_ml" not in table or not len(table):
        return None
    volume = pd.to_numeric(table["volume_ml"], errors="coerce")
    groups = volume.groupby(table["region"].replace("", "not known"))
    totals = pd.DataFrame({"count": groups.size(), "ml": groups.sum()}).sort_values("ml", ascending=False)
    rows = [(str(name).replace("_", " "), f"{row['count']:.0f}", f"{row['ml']:.2f}") for name, row in totals.iterrows()]
    return Box("Regions", columns=("Region", "Lesions", "Volume (mL)"), rows=rows)


def _criteria(record: Mapping[str, Any]) -> Box | None:
    found = {key: _mapping(value) for key, value in _mapping(record.get("criteria")).items()}
    if all(each.get("value") not in _ANSWERS for each in found.values()):
        return None
    rows = [
        (
            _CRITERIA.get(key, key.replace("_", " ")),
            _ANSWERS.get(str(each.get("value")), "not known"),
            ", ".join(map(str, each.get("lesions", ()))),
        )
        for key, each in found.items()
    ]
    return Box("Imaging criteria of MS", columns=("Candidates", "Found", "Lesions"), rows=rows)


def _trust(record: Mapping[str, Any]) -> Box | None:
    trust = record.get("trust")
    if not isinstance(trust, Mapping):
        return None
    recovery = _mapping(trust.get("recovery"))
    rows = [
        (
            str(size).replace("_", " "),
            f"{each.get('found', '–')} of {each.get('injected', '–')}",
            _interval(each.get("low"), each.get("high")),
        )
        for size, each in recovery.items()
        if isinstance(each, Mapping)
    ]
    lines = [str(trust["reason"])] if trust.get("reason") else ["Simulated lesions were put into this scan."]
    grade = trust.get("grade")
    return Box(
        "Trust in the segmentation",
        f"Grade {grade}" if grade else "No grade",
        lines,
        ("Size of the lesions", "Found", "95 % interval") if rows else (),
        rows,
    )


def _explanation(record: Mapping[str, Any]) -> Box | None:
    explanation = record.get("explanation")
    if not isinstance(explanation, Mapping):
        return None
    maps = [(title, _mapping(explanation.get(key))) for key, title in _MAPS.items() if key in explanation]
    rows = (
        [(term, *(_number(values.get(key)) for _, values in maps)) for key, term in _MAP_TERMS.items()] if maps else []
    )
    return Box(
        "Explanation", "", list(_deletion(explanation)), ("", *(title for title, _ in maps)) if maps else (), rows
    )


def _deletion(explanation: Mapping[str, Any]) -> Iterator[str]:
    if explanation.get("reason"):
        yield str(explanation["reason"])
    deletion = _mapping(explanation.get("deletion"))
    if deletion:
        yield (
            f"With the lesions filled, the probability falls by {_number(deletion.get('fall'))}; "
            f"with their mirror image filled, by {_number(deletion.get('control_fall'))}."
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "–"


def _interval(low: Any, high: Any) -> str:
    return "–" if low is None or high is None else f"{100 * float(low):.0f} to {100 * float(high):.0f} %"
