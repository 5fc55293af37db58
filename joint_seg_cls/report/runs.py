"""Runs of a study as input of tables and figures."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, final

import pandas as pd
import yaml

from joint_seg_cls.errors import CheckpointError, StoreError
from joint_seg_cls.report.per_case import read_per_case
from joint_seg_cls.run_state import CONFIG, DONE, METRICS, PER_CASE, PROVENANCE, run_state
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
        return _mapping(self.folder / PROVENANCE)

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
