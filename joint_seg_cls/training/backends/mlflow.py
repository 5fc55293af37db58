"""MLflow: a server of one's own, or a folder beside the runs."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd
from matplotlib.image import imsave

from joint_seg_cls.scan.cells import table_text
from joint_seg_cls.training.backends.missing import missing_extra
from joint_seg_cls.training.tracking import Backend, PanelPlan, Picture, RunCard, Upload

#: The tag by which a resumed run finds its MLflow run.
_RUN_TAG = "joint_seg_cls.run_id"
#: Bounds of MLflow's requests where the environment sets none (MLflow's own retry for four minutes): of the first one,
#: which shows whether there is a server, and of the later ones.
_FIRST = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
_LATER = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
#: MLflow refuses longer values of parameters, and more at once.
_LONGEST_VALUE, _MOST_PARAMETERS = 500, 100


@final
@dataclass(frozen=True)
class MlflowTracking:
    """Track a run with MLflow.

    Args:
        experiment: the MLflow experiment.
        uri: address of the tracking server, or a folder; None for ``MLFLOW_TRACKING_URI``, or else ``mlruns`` beside
            the collections of runs.
        upload: the weights that are sent at the end.
        panel: the cases that are drawn.
    """

    experiment: str
    uri: str | None
    upload: Upload
    panel: PanelPlan

    def open(self, card: RunCard) -> Backend:
        """Open the MLflow run, or continue it.

        Raises:
            ModuleNotFoundError: MLflow is not installed.
            MlflowException: no server answers within some seconds.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers of each use
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # without which a folder is refused
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise missing_extra("mlflow") from error
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or str(card.runs / "mlruns")
        client = MlflowClient(
            tracking_uri=uri
            if "://" in uri or uri.startswith("databricks")
            else Path(uri).expanduser().resolve().as_uri()
        )
        with _default_environment(_FIRST):
            client.get_experiment_by_name(self.experiment)
        for name, value in _LATER.items():
            os.environ.setdefault(name, value)
        experiment = _experiment(client, self.experiment)
        known = client.search_runs([experiment], filter_string=f"tags.`{_RUN_TAG}` = '{card.run_id}'", max_results=1)
        if known:
            run_id = known[0].info.run_id
            client.update_run(run_id, status="RUNNING")
            return _MlflowRun(client, run_id)
        tags = {_RUN_TAG: card.run_id, "group": card.group, "job": card.job, "tags": ", ".join(card.tags)}
        run_id = client.create_run(experiment, run_name=card.name, tags=tags).info.run_id
        _log_config(client, run_id, card.config)
        return _MlflowRun(client, run_id)


@contextmanager
def _default_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that the environment lacks, for the time of the block."""
    lacking = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(lacking)
    try:
        yield
    finally:
        for name in lacking:
            del os.environ[name]


@final
class _MlflowRun:
    """An open MLflow run."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    def numbers(self, values: Mapping[str, float], step: int | None) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run_id, name, float(value), step=step or 0)

    def facts(self, values: Mapping[str, float]) -> None:
        self.numbers(values, None)

    def pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for one in pictures:
                path = Path(folder) / f"{one.name}_step-{step}.png"
                imsave(path, one.pixels)
                self._client.log_artifact(self._run_id, str(path), name)

    def table(self, name: str, rows: pd.DataFrame) -> None:
        self._client.log_text(self._run_id, table_text(rows), f"{name}.csv")

    def model(self, path: Path, name: str) -> None:
        self._client.log_artifact(self._run_id, str(path), f"model/{name}")

    def finish(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run_id, "FAILED" if failed else "FINISHED")


def _experiment(client: Any, name: str) -> str:
    """Return the experiment's number; of several jobs that make it at once, one succeeds and the others find it."""
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


def _log_config(client: Any, run_id: str, config: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    params = [Param(key, str(value)[:_LONGEST_VALUE]) for key, value in config.items()]
    for first in range(0, len(params), _MOST_PARAMETERS):
        client.log_batch(run_id, params=params[first : first + _MOST_PARAMETERS])
