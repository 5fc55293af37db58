"""Facts about the runs of a study for captions: store, protocol, folds, training, versions."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.variants import Variant

UNKNOWN = "not available"
#: Kinds of generated folds: description, and what two folds never share.
_KINDS = {
    "random": ("random folds", "scan"),
    "stratified": ("folds stratified by disease and lesion load", "scan"),
    "grouped": ("folds grouped by subject", "subject"),
    "strict": ("folds stratified by disease and lesion load, grouped by subject", "subject"),
}
_TOO_GOOD = ": its test is biased upwards"
_WEIGHTS = {"best": "weights chosen on an inner validation split", "last": "weights of the last epoch"}


def about(variants: Sequence[Variant]) -> str:
    """Return the sentence common to all captions: cohort, protocol, folds, seeds."""
    planned = [run for one in variants for run in one.runs]
    runs = [run for run in planned if run.is_done] or planned
    rows = [one.rows for one in variants if len(one.rows)]
    largest = max(rows, key=lambda table: table["case"].nunique(), default=None)
    tested = ""
    if largest is not None:
        tested = f", {largest['case'].nunique()} scans of {largest['subject'].nunique()} subjects tested"
    folds = sorted({str(run.fold) for run in runs}, key=lambda fold: (len(fold), fold))
    seeds = sorted({run.seed for run in runs})
    return (
        f"Cohort {store_name(runs)}{tested}. Protocol: {protocol(runs)}. Folds {', '.join(folds)}"
        f" (hash {distinct_values(runs, lambda run: run.provenance['identity']['folds_hash'])}); "
        f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}."
    )


def store_name(runs: Iterable[ReportRun]) -> str:
    """Return the name of the prepared store."""
    return distinct_values(runs, lambda run: Path(run.config["data"]["store"]).name)


def protocol(runs: Iterable[ReportRun]) -> str:
    """Return the protocol and its meaning."""

    def of(run: ReportRun) -> str:
        chosen = run.config["protocol"]
        weights = _WEIGHTS.get(chosen["weights"], str(chosen["weights"]))
        return f"{chosen['name']} ({'; '.join(part for part in (_folds(run)[0], weights) if part)})"

    return distinct_values(runs, of)


def disjoint(runs: Iterable[ReportRun]) -> str:
    """Return the units that are never in two parts of a split."""
    return distinct_values(runs, lambda run: _folds(run)[1] or UNKNOWN)


def initial_weights(run: ReportRun) -> str:
    """Return the initial weights of a run, and whether they were trained on its test scans."""
    start = run.config["init_from"]
    if not start:
        return "random, from the seed"
    return f"from {Path(start).name}, {_knows_test(run)}"


def unseen(runs: Iterable[ReportRun]) -> str:
    """Return whether each scan is tested by networks not trained on it, as far as recorded."""

    def of(run: ReportRun) -> str:
        if not run.config["init_from"]:
            return "each scan is tested by networks that were not trained on it"
        return f"fine-tuned networks: their initial weights, {_knows_test(run)}"

    return distinct_values(runs, of)


def contaminated(runs: Iterable[ReportRun]) -> list[str]:
    """Return a warning for each run tested on scans that its initial weights were trained on."""
    found = {run: distinct_values([run], _knows_test) for run in runs if run.provenance.get("started_from")}
    return [
        f"warning: {run.label}, fold {run.fold}: its initial weights, {what}"
        for run, what in found.items()
        if what.endswith(_TOO_GOOD)
    ]


def _knows_test(run: ReportRun) -> str:
    started = run.provenance.get("started_from")
    if not isinstance(started, dict) or not started.get("is_known"):
        return "whose training data are not recorded"
    tested = started.get("trained_on_test")
    counts = {name: tested.get(name) if isinstance(tested, dict) else None for name in ("scans", "by_subject")}
    if not all(isinstance(count, int) for count in counts.values()):
        return "whose training data are not recorded"
    if not any(counts.values()):
        return "which were trained on no scan of the test fold and on no other scan of its subjects in this store"
    return (
        f"which were trained on {counts['scans']} scans of the test fold and on other scans of the subjects of "
        f"{counts['by_subject']} more{_TOO_GOOD}"
    )


def _folds(run: ReportRun) -> tuple[str, str]:
    """Return the kind of folds and what two folds never share; empty if not recorded."""
    folds = run.config.get("data", {}).get("folds") or {}
    kind = str(folds.get("_target_", "")).rpartition(".")[2]
    if kind == "Folds":
        return _KINDS.get(str(folds.get("kind")), ("", ""))
    if kind == "LeaveOneOut":
        return (
            f"one {folds.get('column')} tested at a time, with training on the others",
            f"subject and {folds.get('column')}",
        )
    if kind == "SplitFile":
        leaks = "leakage" in (folds.get("allow") or ())
        return (
            "folds from the user's file",
            "scan; subjects may be in two folds, as allowed by the user" if leaks else "subject",
        )
    return kind, ""


def distinct_values(runs: Iterable[ReportRun], of: Callable[[ReportRun], Any]) -> str:
    """Return the distinct values of ``of`` over the runs, joined; runs without a value are omitted."""
    found: dict[str, None] = {}
    for run in runs:
        try:
            found[str(of(run))] = None
        except (KeyError, TypeError, IndexError, AttributeError):
            continue
    return " / ".join(found) or UNKNOWN
