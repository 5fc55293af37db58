"""Experiment tracking of a command, with pseudonyms and without local paths."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joint_seg_cls.config.build import Config, build, get, plain
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.run_state import PER_CASE
from joint_seg_cls.runs.load import read_run_config
from joint_seg_cls.scan.cells import read_written
from joint_seg_cls.training import (
    Checkpoint,
    Panel,
    Pseudonyms,
    RunCard,
    RunFolder,
    Tracker,
    choose_cases,
    publish_test,
    publish_weights,
    start_tracking,
)
from joint_seg_cls.training.tracking import Job, Tracking

_log = logging.getLogger(__name__)


@contextmanager
def track_training(
    config: Config, run: RunFolder, data: JointDataModule, variant: str, identity: Mapping[str, Any]
) -> Iterator[Tracker | None]:
    """Track a training and its test as one run; a resumed training continues it.

    Args:
        run: the run folder, which keeps the key of the pseudonyms.
        variant: the ablation or network, and other settings.
        identity: all keys that change results.
    """
    if not config.tracking:
        yield None
        return
    try:
        pseudonyms = Pseudonyms.of(run.path, {case.case: (case.subject, case.session) for case in data.store.cases})
    except ConfigError as error:
        _log.warning("this run is not tracked: %s", error)
        yield None
        return
    tracking: Tracking = build(config.tracking)
    tables: Any = get(config, "tables") or []
    with track(
        tracking,
        "train",
        pseudonyms,
        group=str(get(config, "study") or Path(str(config.collection)).name),
        name=f"{variant}-f{pseudonyms.publishable(config.fold)}-s{config.seed}",
        tags=[*(f"table {table}" for table in tables), variant.partition("+")[0], str(config.protocol.name)],
        folder=run.path,
        runs=_runs(run),
        config={**identity, "collection": str(config.collection), "fine_tuned": config.init_from is not None},
    ) as tracker:
        if tracker is not None and tracking.panel.cases:
            tracker.callbacks.append(_panel(config, data, tracker, tracking, pseudonyms))
        yield tracker
        if tracker is not None and config.evaluate:
            publish_test(tracker, run.path, pseudonyms)
        if tracker is not None and tracking.upload is not None:
            chosen = run.best if tracking.upload == "best" else run.last
            if not chosen.is_file():
                _log.warning("tracking.upload=best: there was no validation, so the last weights are uploaded")
                chosen = run.last
            publish_weights(tracker, chosen, chosen.stem, pseudonyms)


def track_evaluation(config: Config, run: RunFolder, folder: Path, checkpoint: Checkpoint, *, tested_on: str) -> None:
    """Track the test of a trained run, with its tables in ``folder``, as another run in the training's group.

    Args:
        run: the run folder, which keeps the key of the pseudonyms.
    """
    if not config.tracking:
        return
    rows = read_written(folder / PER_CASE)
    people = {row["case"]: (row["subject"], row["session"] or None) for row in rows.to_dict("records")}
    try:
        pseudonyms = Pseudonyms.of(run.path, people)
    except ConfigError as error:
        _log.warning("this test is not tracked: %s", error)
        return
    tested_on = str(pseudonyms.publishable(tested_on))
    study = read_run_config(run, "study") if run.config.is_file() else None
    facts = checkpoint.recipe.trained_on
    fold, variant = pseudonyms.publishable(facts["fold"]), checkpoint.recipe.variant
    with track(
        build(config.tracking),
        "eval",
        pseudonyms,
        group=study if isinstance(study, str) and study else facts["collection"],
        name=f"{variant}-f{fold}-s{facts['seed']} on {tested_on}",
        tags=[variant.partition("+")[0], tested_on],
        folder=folder,
        runs=_runs(run),
        config={"variant": variant, "tested_on": tested_on, "weights": checkpoint.path.stem, **facts},
        job_id=f"evaluation {folder.name}",
    ) as tracker:
        if tracker is not None:
            publish_test(tracker, folder, pseudonyms)


@contextmanager
def track(
    tracking: Tracking,
    job: Job,
    pseudonyms: Pseudonyms,
    *,
    group: str,
    name: str,
    tags: Iterable[str],
    folder: Path,
    runs: Path,
    config: Mapping[str, Any],
    job_id: str = "train",
) -> Iterator[Tracker | None]:
    """Open a run of the tracking service and close it after the block; None without a service."""
    card = RunCard(
        group=group,
        name=name,
        job=job,
        tags=list(dict.fromkeys(tags)),
        run_id=pseudonyms.id_of(job_id),
        folder=folder,
        runs=runs,
        config=pseudonyms.publishable(plain(config)),
    )
    tracker = start_tracking(tracking, card)
    try:
        yield tracker
    except BaseException:
        if tracker is not None:
            tracker.finish(failed=True)
        raise
    if tracker is not None:
        tracker.finish()


def _runs(run: RunFolder) -> Path:
    """Return the folder of all collections: a run is ``<runs>/<collection>/<variant>/<fold and seed>``."""
    return run.path.resolve().parents[2]


def _panel(
    config: Config, data: JointDataModule, tracker: Tracker, tracking: Tracking, pseudonyms: Pseudonyms
) -> Panel:
    """Draw validation cases, or training cases if there are none; never test cases."""
    split = data.split
    part, names = ("validation", split.validation) if split.validation else ("training", split.train)
    return Panel(
        tracker,
        choose_cases(data.store.cases, names, tracking.panel.cases),
        part,
        pseudonyms,
        data.classes,
        lesion_threshold=float(config.lesion_threshold),
        every_epochs=tracking.panel.every_epochs,
    )
