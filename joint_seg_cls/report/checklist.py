"""A checklist after CLAIM [1], filled from the runs; items that need an author are "not available".

[1] Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update,
    https://doi.org/10.1148/ryai.240300
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from joint_seg_cls import __version__
from joint_seg_cls.audit import Audit
from joint_seg_cls.errors import StoreError, examples
from joint_seg_cls.evaluation import DISEASE_METRICS, VOXEL_METRICS
from joint_seg_cls.report.circumstances import (
    UNKNOWN,
    disjoint,
    distinct_values,
    initial_weights,
    protocol,
    store_name,
    unseen,
)
from joint_seg_cls.report.figure import Figure
from joint_seg_cls.report.measured import Measured
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.study_table import StudyTable, number
from joint_seg_cls.report.variants import JOINT, Variant
from joint_seg_cls.scan import PreparedStore
from joint_seg_cls.scan.cells import markdown as escaped
from joint_seg_cls.scan.cells import markdown_table, without_folders

#: Number of scans named as failures.
_NAMED = 5
_MAPS = "figure-12"


class Item(NamedTuple):
    """An item of the checklist: number, part, question, and answer."""

    number: str
    part: str
    question: str
    answer: str


def checklist(
    variants: Sequence[Variant],
    tables: Sequence[StudyTable],
    figures: Sequence[Figure],
    audit: Audit | None,
    claimed: str,
) -> list[Item]:
    """Fill the checklist.

    Args:
        audit: audit of the data, if a run has one.
        claimed: the sentence on statistics.
    """
    runs = [run for one in variants for run in one.runs]
    answers = _of_runs(runs, variants) | _of_results(variants, tables) | _of_data(audit) | {"uncertainty": claimed}
    if any(figure.name == _MAPS and figure.png is not None for figure in figures):
        answers["explainability"] = "location maps (Eq. 10) and Grad-CAM: Figure 12"
    questions = json.loads(files("joint_seg_cls.report").joinpath("checklist.json").read_text(encoding="utf-8"))
    return [
        Item(one, part, question, without_folders(answers.get(key, UNKNOWN)) if key else UNKNOWN)
        for one, part, question, key in questions
    ]


def markdown(items: Sequence[Item]) -> str:
    """Return the checklist as a table."""
    table = markdown_table(("item", "part", "question", "answer"), [list(map(escaped, item)) for item in items])
    filled = sum(item.answer != UNKNOWN for item in items)
    head = (
        "# Checklist for reporting\n\nAfter CLAIM, 2024 update (https://doi.org/10.1148/ryai.240300), in this "
        f"program's words. {filled} of {len(items)} items are filled from the runs. Items marked "
        f"“{UNKNOWN}” must be written by an author, who must also check all answers.\n\n"
    )
    return f"{head}{table}\n"


def _of_runs(runs: Sequence[ReportRun], variants: Sequence[Variant]) -> dict[str, str]:
    def of(*keys: str) -> str:
        return distinct_values(runs, lambda run: _plain(_at(run.config, keys)))

    def made(*keys: str) -> str:
        return distinct_values(runs, lambda run: _plain(_at(run.provenance, keys)))

    weights = {
        "best": "highest val/score (mean of Dice and AUC) on an inner split; the test fold is not used",
        "last": "last epoch",
    }
    labels = ", ".join(one.label for one in variants)
    return {
        "model": f"3-D networks that {_tasks(variants)}: {labels}",
        "goal": f"comparison of {len(variants)} variants: {labels}",
        "store": f"prepared store {store_name(runs)}, data hash {made('identity', 'data_hash')}",
        "preprocessing": _preprocessing(runs),
        "missing": "scans without a mask train only the diagnosis, scans without a disease only the segmentation",
        "folds": f"{protocol(runs)}; folds hash {made('identity', 'folds_hash')}",
        "disjoint": disjoint(runs),
        "network": f"{of('network', '_target_')} on {of('network', 'image_size')} voxels; see config.yaml of each run",
        "software": f"joint_seg_cls {made('joint_seg_cls')}, Python {made('python')}, {made('packages')}",
        "initial": distinct_values(runs, initial_weights),
        "training": f"{of('optimizer')}; schedule {of('scheduler')}; batch {of('data', 'batch_size')}; "
        f"{of('trainer', 'max_epochs')} epochs; augmentation {of('data', 'augmentation')}; {len(runs)} trainings",
        "weights": distinct_values(runs, lambda run: weights[run.config["protocol"]["weights"]]),
        "ensembles": "none",
        "robustness": f"seeds {', '.join(map(str, sorted({run.seed for run in runs})))}; folds, seeds separate",
        "internal": unseen(runs),
        "external": _external(runs),
        "protocol": "config.yaml and provenance.json in every run folder",
        "availability": f"software: joint_seg_cls {__version__}, Apache-2.0; models: checkpoints in the run folders; "
        f"data: {UNKNOWN}",
    }


def _of_results(variants: Sequence[Variant], tables: Sequence[StudyTable]) -> dict[str, str]:
    joint = _joint(variants)
    by_metric = {
        name: f"{name} {number(name, found.value.mean)} ({_ends(name, found)})"
        for table in tables
        for row in table.rows
        if joint is not None and row.label == joint.label
        for name, found in row.measured.items()
    }
    label = joint.label if joint is not None else ""
    segments = [by_metric[name] for name in VOXEL_METRICS if name in by_metric]
    diagnoses = [by_metric[name] for name in DISEASE_METRICS if name in by_metric]
    answers = {
        "metrics": "DSC, PPV, TPR, VD per scan in its own grid; ACC, SN, SP, AUC over scans; see footnotes",
        "performance": f"{label}: {', '.join(segments)}; see the tables" if segments else UNKNOWN,
        "diagnosis": f"{label}: {', '.join(diagnoses)}; see the tables" if diagnoses else UNKNOWN,
        "failures": _failures(variants),
    }
    claims = [claim for table in tables for claim in table.claims]
    if claims:
        tested = max(claims, key=lambda one: one.found.scans).found
        answers["size"] = (
            f"not planned beforehand; {tested.scans} scans of {tested.subjects} subjects were tested, and the smallest "
            "detectable difference is listed with each claim"
        )
    return answers


def _tasks(variants: Sequence[Variant]) -> str:
    """Return the tasks of the tested networks."""
    tasks = {
        "segment lesions": any(one.segments for one in variants),
        "classify the disease": any(len(one.diagnosed()) for one in variants),
    }
    return " and ".join(task for task, is_done in tasks.items() if is_done) or "were not tested yet"


def _of_data(audit: Audit | None) -> dict[str, str]:
    if audit is None:
        return {}
    tables = {table.title: table for table in audit.tables}
    people, scanned = tables.get("Patients"), tables.get("Acquisition")
    answers = {"numbers": f"{audit.scans} scans of {audit.subjects} subjects in the store; excluded: {UNKNOWN}"}
    for key, table in (("demographics", people), ("acquisition", scanned)):
        if table is not None and table.rows:
            answers[key] = "; ".join(
                ", ".join(f"{name} {cell}" for name, cell in zip(table.columns, row, strict=False) if cell)
                for row in table.rows
            )
    return answers


def _joint(variants: Sequence[Variant]) -> Variant | None:
    """Return the joint model with the fewest further settings; None if none is finished."""
    found = [one for one in variants if one.base == JOINT and len(one.rows)]
    return min(found, key=lambda one: len(one.settings), default=None)


def _ends(metric: str, found: Measured) -> str:
    return " to ".join(number(metric, end, 1) for end in found.value.interval)


def _failures(variants: Sequence[Variant]) -> str:
    shown = _joint(variants)
    if shown is None:
        return UNKNOWN
    scores = shown.rows.groupby("case")["dsc"].mean().dropna().sort_values(kind="stable")  # over seeds
    worst = ", ".join(f"{case} {dsc:.2f}" for case, dsc in scores.head(_NAMED).items())
    by_case = shown.diagnosed().groupby("case")
    known = by_case[shown.probability_columns()].mean()
    predicted = known.idxmax(axis=1).str.removeprefix("p_") if len(known) else known.index.to_series()
    wrong = known.index[predicted != by_case["disease"].first()]
    named = f" ({examples(wrong, _NAMED)})" if len(wrong) else ""
    return f"{shown.label}: lowest DSC {worst or UNKNOWN}; {len(wrong)} of {len(known)} diagnoses wrong{named}"


def _external(runs: Sequence[ReportRun]) -> str:
    found = sorted({path.parent.name for run in runs for path in run.folder.glob("evaluations/*/summary.csv")})
    return f"evaluations of the runs: {', '.join(found)}" if found else UNKNOWN


def _preprocessing(runs: Sequence[ReportRun]) -> str:
    for run in runs:
        try:
            return _plain(PreparedStore(run.config["data"]["store"]).settings)
        except (KeyError, TypeError, StoreError):
            continue
    return UNKNOWN


def _at(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    found: Any = record
    for key in keys:
        found = found[key]
    return found


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            _plain(child).rpartition(".")[2] if key == "_target_" else f"{key} {_plain(child)}"
            for key, child in value.items()
            if child is not None and not str(key).startswith("_partial")
        )
    if isinstance(value, list):
        return " x ".join(map(_plain, value))
    return str(value)
