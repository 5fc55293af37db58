"""Initial weights of a training, and whether they were trained on its test scans."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.config.tree import Config
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training import Overlap, Recipe, known_marks, overlap

_log = logging.getLogger(__name__)
#: Value of ``accept`` that allows initial weights trained on the test scans.
ACCEPT_TRAINED_ON_TEST = "trained_on_test"


@final
@dataclass(frozen=True)
class Start:
    """Provenance of initial weights.

    Args:
        marks: identifiers of their training scans; None if the checkpoint does not record them.
        tested: test scans among them, and other scans of the same subjects.
        validated: the same for the validation part.
        sizes: numbers of test and validation scans.
    """

    marks: Sequence[str] | None
    tested: Overlap
    validated: Overlap
    sizes: tuple[int, int]

    def record(self) -> dict[str, Any]:
        """Return the entries of ``provenance.json``."""
        return {"is_known": self.marks is not None, "trained_on_test": self.tested.counts()}

    def refuse_trained_on_test(self, config: Config) -> None:
        """Refuse weights that were trained on test scans, unless the user accepts them.

        Raises:
            ConfigError: the weights were trained on test scans.
        """
        if self.marks is None:
            _log.warning("init_from: the checkpoint does not record its training scans")
        tested, validated = self.sizes
        if self.validated:
            found = self.validated.of(validated)
            _log.warning(
                "init_from: these weights were trained or selected on %s of the validation part: val/score is too high",
                found,
            )
        if not self.tested:
            return
        if ACCEPT_TRAINED_ON_TEST in config.accept:
            found = self.tested.of(tested)
            _log.warning("init_from: these weights were trained on %s to test: the test is biased upwards", found)
            return
        raise ConfigError(
            "init_from",
            expected=f"weights trained on no scan and no subject of test fold {config.fold}",
            found=f"weights trained on {self.tested.of(tested)}",
            remedy="start from a run of the same fold, or add "
            f"accept=[{ACCEPT_TRAINED_ON_TEST}] for a test that is biased upwards, as its report will state",
        )


def start_of(recipe: Recipe, data: JointDataModule, facts: Mapping[str, Any]) -> Start:
    """Return the provenance of a checkpoint's weights with respect to the data of a training.

    Args:
        recipe: the checkpoint's recipe.
        data: the training's data, set up.
        facts: hashes of the data and folds.
    """
    cases, split = data.store.cases, data.split
    marks = known_marks(recipe, cases, data.frozen.splits, facts)
    own = (*split.train, *split.validation)
    tested = overlap(marks or (), cases, split.test, own)
    validated = overlap(marks or (), cases, split.validation, split.train)
    return Start(marks, tested, validated, (len(split.test), len(split.validation)))
