"""Runs of a study as input of tables and figures, and their pooled out-of-fold tables."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float, Int

from joint_seg_cls.errors import CheckpointError, StoreError
from joint_seg_cls.report.per_case import PER_CASE, PROBABILITY, UNCALIBRATED, read_per_case
from joint_seg_cls.run_state import CONFIG, DONE, METRICS, run_state
from joint_seg_cls.scan import PreparedCase, PreparedStore
from joint_seg_cls.training import not_plain

_READ = ("_table", "metrics", "config", "provenance", "own_data_hash")  # depend on the run's files only


@final
@dataclass(frozen=True)
class ReportRun:
    """One run of a study.

    Args:
        folder: the run folder; it may not exist yet.
        label: name of the variant for readers; runs with the same label form one row of a table.
        data_hash: fingerprint of the study's data; None for any.
    """

    folder: Path
    base: str
    label: str
    fold: int | str
    seed: int
    settings: tuple[str, ...] = ()
    data_hash: str | None = None

    @cached_property
    def is_done(self) -> bool:
        """Whether it is finished with a valid test."""
        return run_state(self.folder).state == "done" and not self.fault

    @property
    def rows(self) -> pd.DataFrame | None:
        """One row per test scan; None if there is no valid table."""
        return self._tested[0]

    @property
    def fault(self) -> str:
        """Why its test is invalid, and the remedy; empty if it is valid."""
        return self._tested[1]

    @cached_property
    def own_data_hash(self) -> str | None:
        """Fingerprint of its data; None if unreadable."""
        found = self.provenance.get("identity")
        return str(found["data_hash"]) if isinstance(found, dict) and "data_hash" in found else None

    def with_data(self, data_hash: str | None) -> "ReportRun":
        """Return this run with the fingerprint of the study's data; its files are not read again."""
        other = replace(self, data_hash=data_hash)
        vars(other).update((name, value) for name, value in vars(self).items() if name in _READ)
        return other

    @property
    def _tested(self) -> tuple[pd.DataFrame | None, str]:
        if None not in (self.data_hash, self.own_data_hash) and self.data_hash != self.own_data_hash:
            return None, f"it has other data ({self.own_data_hash}) than most runs of the study ({self.data_hash})"
        return self._table

    @cached_property
    def _table(self) -> tuple[pd.DataFrame | None, str]:
        scans = _mapping(self.folder / DONE).get("scans")
        try:
            return read_per_case(self.folder / PER_CASE, scans if isinstance(scans, int) else None), ""
        except ValueError as error:
            remedy = f"delete {self.folder / DONE} and repeat its jsc train, which only repeats the test"
            return None, f"{error}; {remedy}"

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """Metrics by epoch; None before the first epoch is finished."""
        found = _read(self.folder / METRICS)
        return found if found is not None and "epoch" in found else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its configuration; empty if unreadable."""
        return _mapping(self.folder / CONFIG)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Its provenance; empty if unreadable."""
        return _mapping(self.folder / "provenance.json")

    @property
    def temperature(self) -> float | None:
        """The temperature of its class probabilities; None if none was fitted."""
        found = _mapping(self.folder / DONE).get("temperature")
        return float(found) if isinstance(found, int | float) and found > 0 else None

    def cases(self) -> dict[str, PreparedCase]:
        """Return the prepared cases of its store.

        Raises:
            StoreError: the store is missing, or has changed since.
            CheckpointError: the run does not record its store.
        """
        try:
            path, data_hash = Path(self.config["data"]["store"]), self.provenance["identity"]["data_hash"]
        except (KeyError, TypeError):
            raise CheckpointError(
                self.folder,
                expected="config.yaml and provenance.json, which record its store",
                found="no readable ones",
                remedy="train it again, or report without pictures",
            ) from None
        store = PreparedStore(path)
        if store.content_hash != data_hash:
            raise StoreError(
                store.path,
                expected="the cases used in the study",
                found="others",
                remedy="prepare that cohort again, or report without pictures",
            )
        return {case.case: case for case in store.cases}


@final
@dataclass(frozen=True, eq=False)
class Pooled:
    """The pooled out-of-fold tables of one variant, for the seed with the most finished folds.

    Args:
        runs: the finished runs, by fold.
        rows: one row per test scan.
        seed: the seed; None if the study has only one.
    """

    label: str
    base: str
    runs: dict[str, ReportRun]
    planned: int
    rows: pd.DataFrame
    seed: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the diseases in the order of their class codes."""
        return tuple(name.removeprefix(PROBABILITY) for name in self.rows if name.startswith(PROBABILITY))

    @property
    def segments(self) -> bool:
        """Whether it segments lesions."""
        return bool(self.rows["dsc"].notna().any())

    def diagnosed(self) -> pd.DataFrame:
        """Return the rows with a known disease and a probability."""
        first = f"{PROBABILITY}{self.classes[0]}"
        return self.rows[self.rows["disease"].isin(self.classes) & self.rows[first].notna()]

    def probability(self) -> Float[np.ndarray, "scans classes"]:
        """Return the class probabilities of the diagnosed rows."""
        return self.diagnosed()[[f"{PROBABILITY}{name}" for name in self.classes]].to_numpy(dtype=np.float64)

    @property
    def is_calibrated(self) -> bool:
        """Whether its rows have probabilities without calibration, which differ."""
        names = [f"{UNCALIBRATED}{name}" for name in self.classes]
        if not names or any(name not in self.rows for name in names):
            return False
        before = self.diagnosed()[names].to_numpy(dtype=np.float64)
        return not np.allclose(before, self.probability(), atol=1e-5, equal_nan=True)

    def uncalibrated(self) -> Float[np.ndarray, "scans classes"]:
        """Return the class probabilities of the diagnosed rows without calibration; the others where not recorded."""
        if not self.is_calibrated:
            return self.probability()
        before = self.diagnosed()[[f"{UNCALIBRATED}{name}" for name in self.classes]].to_numpy(dtype=np.float64)
        return np.where(np.isnan(before), self.probability(), before)

    def disease(self) -> Int[np.ndarray, " scans"]:
        """Return the codes of the true diseases of the diagnosed rows."""
        return self.diagnosed()["disease"].map(self.classes.index).to_numpy(dtype=np.int64)

    def label_with_progress(self) -> str:
        """Return the label, with the seed if there are several, and the number of folds if some are not finished."""
        done = len(self.runs)
        parts = [] if self.seed is None else [f"seed {self.seed}"]
        parts += [] if done == self.planned else [f"{done} of {self.planned} folds"]
        return f"{self.label} ({', '.join(parts)})" if parts else self.label


def pool(runs: Iterable[ReportRun]) -> list[Pooled]:
    """Pool the finished runs of each label, in the order of first appearance."""
    by_label: dict[str, list[ReportRun]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    return [pooled for own in by_label.values() if (pooled := _pool_one(own)) is not None]


def classifying(pooled: Iterable[Pooled]) -> list[Pooled]:
    """Return the variants that classify and were tested on scans of every class."""
    return [one for one in pooled if len(np.unique(one.disease())) == len(one.classes) > 1]


def choose(pooled: Sequence[Pooled], bases: Sequence[str]) -> list[Pooled]:
    """Return the first variant of each available base, in the order of ``bases``."""
    return [found for base in bases if (found := next((one for one in pooled if one.base == base), None)) is not None]


def seed_note(variants: Iterable[Pooled]) -> str:
    """Return the sentence of a caption if there are several seeds."""
    several = any(one.seed is not None for one in variants)
    return " Of several seeds, that with the most finished folds is shown, given with the name." if several else ""


def _pool_one(runs: list[ReportRun]) -> Pooled | None:
    done = [run for run in runs if run.is_done]
    if not done:
        return None
    folds = Counter(run.seed for run in done)
    seed = min(folds, key=lambda one: (-folds[one], one))
    chosen = {str(run.fold): run for run in done if run.seed == seed}
    tables = [rows.assign(fold=fold) for fold, run in chosen.items() if (rows := run.rows) is not None]
    rows = pd.concat(tables, ignore_index=True)
    planned = len({str(run.fold) for run in runs})
    several = len({run.seed for run in runs}) > 1
    return Pooled(done[0].label, done[0].base, chosen, planned, rows, seed if several else None)


def _read(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # ValueError: base class of pandas' errors
        return None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) and not_plain(found) is None else {}
