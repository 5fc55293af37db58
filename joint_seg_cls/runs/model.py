"""One or several networks with their preprocessing, for predictions from files."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from joint_seg_cls import RESULTS_VERSION
from joint_seg_cls.batch import Views
from joint_seg_cls.errors import CheckpointError, ScanError, enough_memory
from joint_seg_cls.inference import (
    CaseFindings,
    Ensemble,
    PredictionOptions,
    Predictor,
    Stopwatch,
    TrainingScans,
    case_findings,
    examine,
)
from joint_seg_cls.preprocess import Pipeline, image_hash
from joint_seg_cls.runs.load import load_pipeline, load_predictor
from joint_seg_cls.runs.model_card import card_of, common, merged
from joint_seg_cls.scan import CohortCase, MaskGeometry
from joint_seg_cls.training import Checkpoint, Recipe, RunFolder, is_pretrained

_log = logging.getLogger(__name__)
_MORE_MEMORY = "close other programs or use a machine with more memory, and predict this scan again"
#: Increased when outputs of a prediction change, so that scans finished by older versions are predicted again.
_OUTPUT_FORMAT = 3


@final
@dataclass(frozen=True)
class Model:
    """Networks that share their preprocessing."""

    predictor: Predictor | Ensemble
    pipeline: Pipeline
    checkpoints: tuple[Checkpoint, ...]
    options: PredictionOptions = field(default_factory=PredictionOptions)

    @property
    def recipe(self) -> Recipe:
        """Recipe of the first network; classes, modalities and preprocessing are those of all."""
        return self.checkpoints[0].recipe

    @cached_property
    def card(self) -> dict[str, Any]:
        """Description of the networks, for records.

        The entries of an ensemble are those of a single network, with a list where its members differ; ``sha256`` is
        then the hash of the members' hashes. ``members`` has the card of each.
        """
        cards = [card_of(checkpoint) for checkpoint in self.checkpoints]
        if len(cards) == 1:
            return {**cards[0], "views": self._views[0]}
        return {
            "variant": " + ".join(dict.fromkeys(card["variant"] for card in cards)),
            "trained_on": merged([card["trained_on"] for card in cards]),
            "epoch": common([card["epoch"] for card in cards]),
            "temperature": common([card["temperature"] for card in cards]),
            "calibration_scans": common([card["calibration_scans"] for card in cards]),
            "lesion_threshold": self.predictor.lesion_threshold,
            "least_lesion_mm3": self.predictor.least_lesion_mm3,
            "sha256": hashlib.sha256(" ".join(card["sha256"] for card in cards).encode()).hexdigest(),
            "views": common(self._views),
            "members": cards,
        }

    def made_from(self, scan: CohortCase) -> dict[str, Any]:
        """Return everything that the outputs depend on: content of the scan and the networks, and settings.

        Raises:
            ScanError: a file cannot be read.
        """
        return {
            "images": [_content(file) for file in scan.images],
            "brain_mask": None if scan.brain_mask is None else _content(scan.brain_mask),
            "model": self.card["sha256"],
            "views": self._views,
            "mask_geometry": self.pipeline.mask_geometry,
            "asked": asdict(self.options),
            "version": [RESULTS_VERSION, _OUTPUT_FORMAT],
        }

    def predict(self, scan: CohortCase, made_from: dict[str, Any] | None = None) -> CaseFindings:
        """Return the findings of one scan.

        Raises:
            ScanError: a file is invalid, a step refuses the scan, or the memory is too small.
        """
        watch = Stopwatch()
        with enough_memory(scan.images[0], remedy=_MORE_MEMORY):
            prepared = self.pipeline.model_input(scan.images, scan.brain_mask)
            found = self.predictor(prepared.image, scan.images[0])
            native = self.predictor.in_native_space(found, prepared.geometry)
            examined, grad_cam = examine(self.options, self.predictor, prepared, found)
            return case_findings(
                scan.case,
                prepared,
                native,
                classes=self.recipe.classes,
                model=self.card,
                trained=self._trained,
                limits=self.options.limits,
                more={**examined, "made_from": made_from or self.made_from(scan), "cost": watch.read()},
                grad_cam=grad_cam,
            )

    @property
    def _trained(self) -> TrainingScans:
        """The training scans of the first network that records them."""
        recipe = next((each.recipe for each in self.checkpoints if each.recipe.intensities), self.recipe)
        return TrainingScans(recipe.intensities, recipe.ranges, recipe.lesion_free, recipe.modalities[0])

    @property
    def _views(self) -> list[Views]:
        members = self.predictor.members if isinstance(self.predictor, Ensemble) else (self.predictor,)
        return [member.views for member in members]


def load_model(
    paths: Sequence[str | Path],
    *,
    device: str,
    trust: Sequence[str] = (),
    views: Views | None = None,
    mask_geometry: MaskGeometry = "header",
    options: PredictionOptions | None = None,
) -> Model:
    """Load checkpoints as one model; arguments as in :func:`~joint_seg_cls.runs.load.load_predictor`.

    A folder of runs ``fold-*`` is replaced by those that are finished.

    Raises:
        CheckpointError: a checkpoint cannot be used, or differs from the first in classes, modalities or preprocessing,
            or two have the same weights.
        ConfigError: there is no such ``device``.
    """
    predictors, checkpoints = [], []
    for path in (run for named in paths for run in _runs(named)):
        predictor, checkpoint = load_predictor(path, device=device, trust=trust, views=views)
        checkpoints.append(checkpoint)
        _refuse_misfit(checkpoints)
        predictors.append(predictor)
    pipeline = load_pipeline(checkpoints[0], trust)
    pipeline.mask_geometry = mask_geometry
    predictor = predictors[0] if len(predictors) == 1 else Ensemble(predictors)
    return Model(predictor, pipeline, tuple(checkpoints), options or PredictionOptions())


def _runs(path: str | Path) -> list[str | Path]:
    """Return the finished runs in a folder of folds; any other path is returned as it is."""
    folder = Path(path).expanduser()
    if is_pretrained(path) or not folder.is_dir() or (folder / "checkpoints").is_dir():
        return [path]
    folds = sorted(each for each in folder.glob("fold-*") if each.is_dir())
    done: list[str | Path] = [each for each in folds if RunFolder(each).is_done(tested=False)]
    if folds and not done:
        raise CheckpointError(
            folder,
            expected="a finished run",
            found=f"{len(folds)} unfinished ones",
            remedy="finish their training, or name the checkpoints to use",
        )
    if left := [each.name for each in folds if each not in done]:
        _log.warning("%s: unfinished runs, not used: %s", folder, ", ".join(left))
    return done or [path]


def _refuse_misfit(checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse a last checkpoint that cannot be averaged with the others."""
    *others, last = checkpoints
    if not others:
        return
    first, recipe = others[0].recipe, last.recipe
    for what, expected, found in (
        ("classes", first.classes, recipe.classes),
        ("modalities", first.modalities, recipe.modalities),
        ("voxels of the image", first.model_shape, recipe.model_shape),
        ("preprocessing", (first.preprocess, first.preprocess_format), (recipe.preprocess, recipe.preprocess_format)),
    ):
        if expected != found:
            are = (
                ("that of the first checkpoint", "another")
                if what == "preprocessing"
                else (_joined(expected), _joined(found))
            )
            raise CheckpointError(
                last.path,
                expected=f"an ensemble with the same {what}, {are[0]}",
                found=are[1],
                remedy="predict with this checkpoint alone, into another folder",
            )
    twice = next((each for each in others if each.sha256 == last.sha256), None)
    if twice is not None:
        raise CheckpointError(
            last.path,
            expected="an ensemble of different networks",
            found=f"the content of {twice.path}",
            remedy="name each checkpoint once",
        )


def _content(file: Path) -> str:
    try:
        return image_hash(file)
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or type(error).__name__
        raise ScanError(file, expected="a readable NIfTI file", found=found, remedy="correct the path") from error


def _joined(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
