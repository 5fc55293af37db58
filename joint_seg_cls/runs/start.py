"""The weights that a training starts from, and whether they know its test scans."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from joint_seg_cls.config.tree import Config
from joint_seg_cls.data import JointDataModule
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.training import Overlap, Recipe, known_marks, overlap

_log = logging.getLogger(__name__)
#: The word that lets a training go on which starts from weights trained on its test scans.
ACCEPT_TRAINED_ON_TEST = "trained_on_test"


@final
@dataclass(frozen=True)
class Start:
    """What is known of the weights that a training starts from.

    Args:
        marks: of the scans that they were trained on; None where the checkpoint does not keep them.
        tested: the tested scans among them, and others of the same subjects.
        validated: likewise of the validation part.
        sizes: how many scans are tested, and how many validated.
    """

    marks: Sequence[str] | None
    tested: Overlap
    validated: Overlap
    sizes: tuple[int, int]

    def record(self) -> dict[str, Any]:
        """Return what ``provenance.json`` keeps."""
        return {"is_known": self.marks is not None, "trained_on_test": self.tested.counts()}

    def refuse_trained_on_test(self, config: Config) -> None:
        """Refuse weights that were trained on what the training is going to test, unless the user accepts them.

        Raises:
            ConfigError: they were.
        """
        if self.marks is None:
            _log.warning("init_from: it is not recorded which scans these weights were trained on")
        tested, validated = self.sizes
        if self.validated:
            found = self.validated.of(validated)
            _log.warning(
                "init_from: these weights were trained or chosen on %s of the validation part: val/score is too good",
                found,
            )
        if not self.tested:
            return
        if ACCEPT_TRAINED_ON_TEST in config.accept:
            found = self.tested.of(tested)
            _log.warning("init_from: these weights have trained on %s to test: the test is too good", found)
            return
        raise ConfigError(
            "init_from",
            expected=f"weights that have trained on no scan and no subject of test fold {config.fold}",
            found=f"some that have trained on {self.tested.of(tested)}",
            remedy="start from a run of the same fold, or add "
            f"accept=[{ACCEPT_TRAINED_ON_TEST}] for a test that is too good, as its report will say",
        )


def start_of(recipe: Recipe, data: JointDataModule, facts: Mapping[str, Any]) -> Start:
    """Return what is known of a checkpoint as the start of a training on ``data``.

    Args:
        recipe: of the checkpoint.
        data: of the training, set up.
        facts: hashes of the data and of their folds.
    """
    cases, split = data.store.cases, data.split
    marks = known_marks(recipe, cases, data.frozen.splits, facts)
    own = (*split.train, *split.validation)
    tested = overlap(marks or (), cases, split.test, own)
    validated = overlap(marks or (), cases, split.validation, split.train)
    return Start(marks, tested, validated, (len(split.test), len(split.validation)))
