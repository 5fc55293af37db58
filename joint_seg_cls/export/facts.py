"""What the checkpoint and the run folder of a network record; nothing that names a person or a place."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from joint_seg_cls.atomic_write import read_json
from joint_seg_cls.errors import InputError
from joint_seg_cls.evaluation import summarise
from joint_seg_cls.metrics import expected_calibration_error
from joint_seg_cls.report import ReportRun
from joint_seg_cls.report.per_case import read_per_case
from joint_seg_cls.run_state import PER_CASE
from joint_seg_cls.scan import PreparedCase
from joint_seg_cls.training import Checkpoint, find_checkpoint, marks_of

#: Subgroups of fewer scans are not listed.
MIN_GROUP_SCANS = 5
#: Name of the test of the fold that was held out.
TEST_FOLD = "test fold"
#: Columns of the cohort table that define subgroups; their values are shown, but for those that may name a place.
_GROUPS, _NAMES_A_PLACE = ("sex", "site", "scanner"), ("site", "scanner")
#: A cell in more groups than this is no category.
_MOST_GROUPS = 12


@final
@dataclass(frozen=True, eq=False)
class Test:
    """One test of the exported weights.

    Attributes:
        name: what was tested, in general words.
        rows: one row per scan.
        summary: metrics with intervals, see :func:`~joint_seg_cls.evaluation.summarise`.
        trained_on: scans that the weights were trained on, and further scans of their people; None if unknown.
    """

    name: str
    rows: pd.DataFrame
    summary: pd.DataFrame
    trained_on: Mapping[str, int] | None = None


@final
@dataclass(frozen=True, eq=False)
class Facts:
    """Facts about the weights that their recipe does not contain; unknown parts are empty.

    Attributes:
        tests: the test of the fold first, then tests of ``jsc evaluate``.
        trained: scans that were trained on, by disease.
        trained_subjects: their people; None if unknown.
        provenance: of the run.
        groups: value of each scan of the first test in a column of the cohort table, by column and scan.
        calibration: expected calibration error of the last class in the first test; None if unknown.
    """

    tests: Sequence[Test] = ()
    trained: Mapping[str, int] = field(default_factory=dict)
    trained_subjects: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    calibration: float | None = None

    def subgroups(self, classes: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
        """Return the summary of each subgroup of the first test: by disease, lesion volume and columns of the table."""
        if not self.tests:
            return []
        rows = self.tests[0].rows
        parts = [(f"disease {name}", rows["disease"] == name) for name in classes]
        parts += _by_volume(rows["volume_reference_ml"])
        for column, values in self.groups.items():
            own = rows["case"].map(dict(values))
            shown = {value: f"{column} {value}" for value in sorted(set(own.dropna()))}
            if column in _NAMES_A_PLACE:
                shown = {value: f"{column} {number}" for number, value in enumerate(shown, start=1)}
            parts += [(name, own == value) for value, name in shown.items()]
        return [
            (f"{name} (n = {int(chosen.sum())})", summarise(rows[chosen].reset_index(drop=True), classes))
            for name, chosen in parts
            if MIN_GROUP_SCANS <= chosen.sum() < len(rows)
        ]


def facts_of(run: Path | None, checkpoint: Checkpoint) -> Facts:
    """Return what the run folder records of these weights; nothing if they are not the ones that it tested."""
    if run is None or find_checkpoint(run).resolve() != checkpoint.path.resolve():
        return Facts()
    report = ReportRun(run, "", "", 0, 0)
    classes = checkpoint.recipe.classes
    tests = [] if report.rows is None else [Test(TEST_FOLD, report.rows, summarise(report.rows, classes))]
    tests += _further_tests(run, checkpoint)
    try:
        cases = report.cases()
    except (InputError, OSError):
        cases = {}
    trained = _trained(cases, checkpoint)
    people = {case.subject for case in trained}
    first = tests[0].rows if tests and tests[0].name == TEST_FOLD else None
    return Facts(
        tests,
        dict(Counter(case.disease or "no disease label" for case in trained)),
        len(people) if trained else None,
        report.provenance,
        {} if first is None else _groups(cases, set(first["case"])),
        None if first is None else _calibration(first, classes),
    )


def _further_tests(run: Path, checkpoint: Checkpoint) -> list[Test]:
    found: list[Test] = []
    for folder in sorted((run / "evaluations").glob("*/")):
        tested = read_json(folder / "tested.json")
        same = tested.get("sha256", checkpoint.sha256) == checkpoint.sha256  # older tests record the name alone
        if tested.get("weights") != checkpoint.path.name or not same:
            continue
        try:
            rows = read_per_case(folder / PER_CASE)
        except ValueError:
            continue
        summary = summarise(rows, checkpoint.recipe.classes)
        found.append(Test(f"further test {len(found) + 1}", rows, summary, _counts(tested.get("trained_on"))))
    return found


def _counts(record: object) -> dict[str, int] | None:
    if not isinstance(record, dict) or not all(isinstance(record.get(key), int) for key in ("scans", "by_subject")):
        return None
    return {key: record[key] for key in ("scans", "by_subject")}


def _trained(cases: Mapping[str, PreparedCase], checkpoint: Checkpoint) -> list[PreparedCase]:
    known = set(checkpoint.recipe.trained_scans or ())
    return [case for case in cases.values() if marks_of(case) & known]


def _groups(cases: Mapping[str, PreparedCase], tested: set[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for column in _GROUPS:
        values = {
            name: case.columns[column] for name, case in cases.items() if name in tested and case.columns.get(column)
        }
        if 1 < len(set(values.values())) <= _MOST_GROUPS:
            found[column] = values
    return found


def _calibration(rows: pd.DataFrame, classes: Sequence[str]) -> float | None:
    name = f"p_{classes[-1]}"
    if name not in rows:
        return None
    known = rows[rows["disease"].isin(list(classes)) & rows[name].notna()]
    if known.empty:
        return None
    probability = known[name].to_numpy(dtype=np.float64)
    return expected_calibration_error(probability, (known["disease"] == classes[-1]).to_numpy())


def _by_volume(volume: pd.Series) -> list[tuple[str, pd.Series]]:
    """Return the lower and the upper half by lesion volume of the reference; nothing where it hardly varies."""
    known = volume.dropna()
    if known.nunique() < 2:
        return []
    middle = float(known.median())
    return [
        (f"lesion volume up to {middle:.1f} mL", volume <= middle),
        (f"lesion volume above {middle:.1f} mL", volume > middle),
    ]
