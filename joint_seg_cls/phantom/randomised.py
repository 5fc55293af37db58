"""Randomised cohorts for networks that must generalise: anatomy, load and scanner vary far more than in reality."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import UInt8

from joint_seg_cls.errors import ConfigError, is_whole, require_valid
from joint_seg_cls.phantom.anatomies import Anatomies
from joint_seg_cls.phantom.any_scanner import scan_scene
from joint_seg_cls.phantom.head import Head
from joint_seg_cls.phantom.labelled_skull import LabelledSkull
from joint_seg_cls.phantom.lesion_shapes import LesionShapes
from joint_seg_cls.phantom.parameters import stream
from joint_seg_cls.phantom.patient import Patient, Population, draw_age_and_sex
from joint_seg_cls.phantom.placing import place_lesions
from joint_seg_cls.phantom.recruitment import Enrolment, Recruitment
from joint_seg_cls.phantom.scene import Scene, draw_scene
from joint_seg_cls.phantom.skull import NoSkull, Skull
from joint_seg_cls.phantom.subject import SimulatedScan

_MARGIN_MM = 14.0


@final
@dataclass(frozen=True)
class RandomisedCohort:
    """A cohort with randomised anatomy, lesions and scanners.

    Args:
        load_ml: range of the lesion volume, log-uniform, for both diseases.
    """

    population: Population
    recruitment: Recruitment
    anatomies: Anatomies
    shapes: LesionShapes
    load_ml: Sequence[float]
    seed: int

    def __post_init__(self) -> None:
        require_valid("seed", is_whole(self.seed, 0), "an integer of at least 0", self.seed)
        if len(self.load_ml) != 2 or not 0 < self.load_ml[0] <= self.load_ml[1]:
            raise ConfigError(
                "phantom.load_ml",
                expected="two volumes above 0, minimum and maximum",
                found=str(list(self.load_ml)),
                remedy="write phantom.load_ml=[0.4,80]",
            )

    def prepare(self, spacing_mm: int, skull: Skull | LabelledSkull) -> None:
        """Check anatomies and shapes before any work.

        Raises:
            InputError: one is invalid, or the heads do not support this ``skull``.
        """
        del spacing_mm
        if not isinstance(skull, NoSkull | LabelledSkull):
            raise ConfigError(
                f"skull={skull.name}",
                expected="none or labels, because the heads of phantom=randomised have their own surroundings",
                found=skull.name,
                remedy="use skull=labels",
            )
        self.shapes.describe()
        self.shapes.draw(100.0, np.random.default_rng(0))
        self.anatomies.check()

    def settings(self) -> dict[str, Any]:
        """Return the settings of the subjects, without their number."""
        return {
            "seed": self.seed,
            "population": self.population.name,
            "recruitment": self.recruitment.describe(),
            "load_ml": [float(volume) for volume in self.load_ml],
            **self.anatomies.describe(),
            **self.shapes.describe(),
        }

    def anatomy(self) -> str:
        """Return a description of the anatomy."""
        return self.anatomies.phrase()

    def patient(self, subject: int) -> tuple[Enrolment, Patient]:
        """Return subject number ``subject`` (from 1)."""
        enrolment = self.recruitment.enrol(self.seed, subject)
        return enrolment, self.population.draw(enrolment.disease, self.seed, subject)

    def person(self, subject: int, visit: int) -> dict[str, str]:
        """Return the table columns of a subject at a visit, except disease and files."""
        del visit
        rng = stream(self.seed, subject, "person", 1)
        age, sex = draw_age_and_sex(rng)
        return {"site": "any", "age": f"{age:.0f}", "sex": sex, "head": self.anatomies.name(self.head_number(subject))}

    def head_number(self, subject: int) -> int:
        """Return the number of a subject's head."""
        return int(stream(self.seed, subject, "head choice").integers(self.anatomies.count()))

    def scene(self, subject: int, shape: tuple[int, int, int] | None, spacing_mm: float) -> Scene:
        """Return the labels of a subject's head and lesions, centred on a grid of ``shape`` (None: large enough)."""
        head = self.anatomies.head(self.head_number(subject))
        lesions = self._lesions(head, subject)
        rng = stream(self.seed, subject, "scene")
        return draw_scene(head, lesions, _holding(head, spacing_mm) if shape is None else shape, spacing_mm, rng)

    def _lesions(self, head: Head, subject: int) -> UInt8[np.ndarray, "x y z"]:
        rng = stream(self.seed, subject, "placing")
        volume_ml = float(np.exp(rng.uniform(*np.log(self.load_ml))))
        return place_lesions(head, self.patient(subject)[1], volume_ml, self.shapes, rng)

    def scans(
        self, subject: int, *, spacing_mm: int, raters: int, skull: Skull | LabelledSkull | None = None
    ) -> Iterator[SimulatedScan]:
        """Yield the scans of a subject by visit: the same lesions on different scanners."""
        skull = skull or NoSkull()
        scene = self.scene(subject, None, float(spacing_mm))
        for visit in range(1, self.patient(subject)[0].visits + 1):
            rng = stream(self.seed, subject, "appearance", visit)
            others = [stream(self.seed, subject, "rater", visit, rater) for rater in range(2, raters + 1)]
            yield scan_scene(scene, rng, others, strip=skull.stripped)


def _holding(head: Head, spacing_mm: float) -> tuple[int, int, int]:
    """Return the size of a grid that contains the head after any rotation and scaling."""
    x, y, z = (int(np.ceil(1.2 * side + 2 * _MARGIN_MM) / spacing_mm) for side in head.tissue.shape)
    return x, y, z
