"""The runs that figures are drawn from: which there are, and their out-of-fold tables put together."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float, Int

from joint_seg_cls.errors import CheckpointError, StoreError
from joint_seg_cls.report.per_case import PER_CASE, PROBABILITY, read_per_case
from joint_seg_cls.run_state import CONFIG, DONE, METRICS, run_state
from joint_seg_cls.scan import PreparedCase, PreparedStore
from joint_seg_cls.training import not_plain


@final
@dataclass(frozen=True)
class FigureRun:
    """One run of a study.

    Args:
        folder: the run folder; it need not exist yet.
        base: the ablation or network.
        label: what a reader is to call the variant; runs with one label are one row of a table.
        fold: the fold that it tests.
        seed: its seed.
        settings: what else was set.
        data_hash: fingerprint of the study's data; None where any will do.
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
        """Whether it is finished and its test can be used."""
        return run_state(self.folder).state == "done" and not self.fault

    @property
    def rows(self) -> pd.DataFrame | None:
        """One row a test scan; None where there is no such table, or none that can be used."""
        return self._tested[0]

    @property
    def fault(self) -> str:
        """Why its test cannot be used, and what to do; empty where it can."""
        return self._tested[1]

    @cached_property
    def own_data_hash(self) -> str | None:
        """Fingerprint of the data that it was trained and tested on; None where that cannot be read."""
        found = self.provenance.get("identity")
        return str(found["data_hash"]) if isinstance(found, dict) and "data_hash" in found else None

    @cached_property
    def _tested(self) -> tuple[pd.DataFrame | None, str]:
        if None not in (self.data_hash, self.own_data_hash) and self.data_hash != self.own_data_hash:
            return None, f"it is of other data ({self.own_data_hash}) than most runs of the study ({self.data_hash})"
        scans = _mapping(self.folder / DONE).get("scans")
        try:
            return read_per_case(self.folder / PER_CASE, scans if isinstance(scans, int) else None), ""
        except ValueError as error:
            return (
                None,
                f"{error}; delete {self.folder / DONE} and repeat the jsc train that made it: it tests again, no more",
            )

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """What was logged by epoch; None before the first is finished."""
        found = _read(self.folder / METRICS)
        return found if found is not None and "epoch" in found else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its configuration; empty where there is none that can be read."""
        return _mapping(self.folder / CONFIG)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What it was made with; empty where that cannot be read."""
        return _mapping(self.folder / "provenance.json")

    def cases(self) -> dict[str, PreparedCase]:
        """Return the prepared cases of the store that it was trained on.

        Raises:
            StoreError: the store is gone, or has changed since.
            CheckpointError: the run does not say which it was.
        """
        try:
            path, data_hash = Path(self.config["data"]["store"]), self.provenance["identity"]["data_hash"]
        except (KeyError, TypeError):
            raise CheckpointError(
                self.folder,
                expected="config.yaml and provenance.json, which name its store",
                found="none that can be read",
                remedy="train it again, or report without pictures",
            ) from None
        store = PreparedStore(path)
        if store.content_hash != data_hash:
            raise StoreError(
                store.path,
                expected="the cases that the study was trained on",
                found="others",
                remedy="prepare that cohort again, or report without pictures",
            )
        return {case.case: case for case in store.cases}


@final
@dataclass(frozen=True, eq=False)
class Pooled:
    """The out-of-fold tables of one variant, of the seed with the most finished folds.

    Args:
        label: what a reader is to call it.
        base: the ablation or network.
        runs: the finished runs, by fold.
        planned: how many folds the study asks for.
        rows: one row a test scan.
        seed: which; None where the study has one.
    """

    label: str
    base: str
    runs: dict[str, FigureRun]
    planned: int
    rows: pd.DataFrame
    seed: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the diseases in the order of their codes."""
        return tuple(name.removeprefix(PROBABILITY) for name in self.rows if name.startswith(PROBABILITY))

    @property
    def segments(self) -> bool:
        """Whether it draws lesions."""
        return bool(self.rows["dsc"].notna().any())

    def diagnosed(self) -> pd.DataFrame:
        """Return the rows with a known disease and a probability."""
        first = f"{PROBABILITY}{self.classes[0]}"
        return self.rows[self.rows["disease"].isin(self.classes) & self.rows[first].notna()]

    def probability(self) -> Float[np.ndarray, "scans classes"]:
        """Return the class probabilities of the diagnosed rows."""
        return self.diagnosed()[[f"{PROBABILITY}{name}" for name in self.classes]].to_numpy(dtype=np.float64)

    def disease(self) -> Int[np.ndarray, " scans"]:
        """Return the codes of the true diseases of the diagnosed rows."""
        codes = {name: code for code, name in enumerate(self.classes)}
        return self.diagnosed()["disease"].map(codes).to_numpy(dtype=np.int64)

    def told(self) -> str:
        """Return the label, with the seed of several, and with the share of folds where some are not finished."""
        done = len(self.runs)
        parts = [] if self.seed is None else [f"seed {self.seed}"]
        parts += [] if done == self.planned else [f"{done} of {self.planned} folds"]
        return f"{self.label} ({', '.join(parts)})" if parts else self.label


def pool(runs: Iterable[FigureRun]) -> list[Pooled]:
    """Put the finished runs of each label together, in the order of the labels' first runs."""
    by_label: dict[str, list[FigureRun]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    return [pooled for own in by_label.values() if (pooled := _pool_one(own)) is not None]


def choose(pooled: Sequence[Pooled], bases: Sequence[str]) -> list[Pooled]:
    """Return the first variant of each of ``bases`` that there is, in their order."""
    return [found for base in bases if (found := next((one for one in pooled if one.base == base), None)) is not None]


def seeds_told(variants: Iterable[Pooled]) -> str:
    """Return what a caption says where there are several seeds."""
    several = any(one.seed is not None for one in variants)
    return " Of several seeds the one with the most finished folds, which stands beside the name." if several else ""


def _pool_one(runs: list[FigureRun]) -> Pooled | None:
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
    except (OSError, ValueError):  # pandas derives its own from the second
        return None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) and not_plain(found) is None else {}
