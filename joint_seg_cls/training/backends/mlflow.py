"""MLflow: a tracking server, or a folder beside the runs."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
from lightning.pytorch.loggers import MLFlowLogger
from matplotlib.image import imsave

from joint_seg_cls.atomic_write import write_text
from joint_seg_cls.scan.cells import table_text
from joint_seg_cls.training.backends.missing import not_installed
from joint_seg_cls.training.tracking import Backend, PanelPicture, PanelPlan, RunCard, Upload

#: The tag with which a resumed run finds its MLflow run.
_RUN_TAG = "joint_seg_cls.run_id"
#: Retries and timeouts of MLflow's requests, unless the environment sets them (MLflow retries for four minutes by
#: default): for the first request, which shows whether the server answers, and for later requests.
_FIRST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
_LATER = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


@final
@dataclass(frozen=True)
class MlflowTracking:
    """Track a run with MLflow.

    Args:
        uri: address of the tracking server, or a folder; None for ``MLFLOW_TRACKING_URI``, or else ``mlruns`` beside
            the collections.
        upload: the uploaded weights.
    """

    experiment: str
    uri: str | None
    upload: Upload
    panel: PanelPlan

    def open(self, card: RunCard) -> Backend:
        """Open the MLflow run, or continue it.

        Raises:
            ModuleNotFoundError: MLflow is not installed.
            MlflowException: no server answers within seconds.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # otherwise MLflow refuses a folder
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise not_installed("mlflow") from error
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or str(card.runs / "mlruns")
        is_address = "://" in uri or uri.startswith("databricks")
        uri = uri if is_address else Path(uri).expanduser().resolve().as_uri()
        client = MlflowClient(tracking_uri=uri)
        with _environment(_FIRST):
            client.get_experiment_by_name(self.experiment)
        for name, value in _LATER.items():
            os.environ.setdefault(name, value)
        experiment = _experiment(client, self.experiment)
        known = client.search_runs([experiment], filter_string=f"tags.`{_RUN_TAG}` = '{card.run_id}'", max_results=1)
        if known:
            run_id = known[0].info.run_id
            client.update_run(run_id, status="RUNNING")
        else:  # Lightning's logger would tag the run with the user and the path of the program
            tags = {_RUN_TAG: card.run_id, "group": card.group, "job": card.job, "tags": ", ".join(card.tags)}
            run_id = client.create_run(experiment, run_name=card.name, tags=tags).info.run_id
        logger = MLFlowLogger(self.experiment, tracking_uri=uri, run_id=run_id)
        with _environment({"MLFLOW_TRACKING_URI": uri}):  # the logger sets this variable permanently
            _ = logger.experiment
        if not known:
            logger.log_hyperparams(dict(card.config))
        if not uri.startswith("file:"):
            return _MlflowRun(logger, run_id, None)
        store = Path(url2pathname(urlsplit(uri).path))
        _make_relative(store, store / experiment / run_id)
        return _MlflowRun(logger, run_id, store / experiment / run_id / "artifacts")


def _make_relative(store: Path, run: Path) -> None:
    """Make the paths in a local store's records relative to the folder that holds the store.

    MLflow writes absolute ones. ``mlflow ui`` finds relative ones where it is started in that folder, and also after
    the folder was moved to another machine.
    """
    for path in (*store.glob("*/meta.yaml"), run / "meta.yaml"):
        record = path.read_text(encoding="utf-8")
        relative = record
        for place in (store.as_uri(), str(store)):
            relative = relative.replace(f"{place}/", f"{store.name}/")
        if relative != record:
            write_text(path, relative)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set missing environment variables in the block and restore all of them afterwards."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@final
class _MlflowRun:
    """An open MLflow run.

    Args:
        artifacts: the folder of its files in a local store, whose records hold relative paths; None for a server.
    """

    def __init__(self, logger: MLFlowLogger, run_id: str, artifacts: Path | None) -> None:
        self.logger = logger
        self._run_id, self._artifacts = run_id, artifacts

    def log_pictures(self, name: str, pictures: Sequence[PanelPicture], step: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for one in pictures:
                path = Path(folder) / f"{one.name}_step-{step}.png"
                imsave(path, one.pixels)
                self._keep(path, name)

    def log_table(self, name: str, rows: pd.DataFrame) -> None:
        place, _, table = name.rpartition("/")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{table}.csv"
            path.write_text(table_text(rows), encoding="utf-8")
            self._keep(path, place)

    def log_model(self, path: Path, name: str) -> None:
        self._keep(path, f"model/{name}")

    def _keep(self, path: Path, place: str) -> None:
        if self._artifacts is None:
            self.logger.experiment.log_artifact(self._run_id, str(path), place)
            return
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(self._artifacts.as_uri()).log_artifact(str(path), place)

    def finish(self, *, failed: bool) -> None:
        self.logger.finalize("failed" if failed else "success")


def _experiment(client: Any, name: str) -> str:
    """Return the id of the experiment; if several jobs create it at once, one succeeds and the others find it."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is not None:
        return known.experiment_id
    try:
        return client.create_experiment(name)
    except MlflowException:
        made = client.get_experiment_by_name(name)
        if made is None:
            raise
        return made.experiment_id
