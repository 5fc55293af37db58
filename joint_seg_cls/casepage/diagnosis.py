"""The diagnosis of a record, as a page states it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

#: The diagnosis of a record that gives none.
INDETERMINATE = "indeterminate"


@final
@dataclass(frozen=True)
class ClassProbability:
    """Probability of one disease, and its spread (standard deviation over networks and views) if there are several."""

    name: str
    probability: float
    spread: float | None

    @property
    def ends(self) -> tuple[float, float] | None:
        """Probability minus and plus its spread, within [0, 1]."""
        if self.spread is None:
            return None
        return max(self.probability - self.spread, 0.0), min(self.probability + self.spread, 1.0)


@final
@dataclass(frozen=True)
class Diagnosis:
    """The answer, the probability of each class in the order of the classes, and why there is no answer if so."""

    answer: str
    classes: tuple[ClassProbability, ...]
    reasons: tuple[str, ...]

    @property
    def is_indeterminate(self) -> bool:
        """Whether no class is given as the answer."""
        return self.answer not in {each.name for each in self.classes}

    @property
    def probability(self) -> float:
        """The largest probability."""
        return max(each.probability for each in self.classes)


def diagnosis_of(record: Mapping[str, Any]) -> Diagnosis | None:
    """Return the diagnosis of a record; None for a network that does not classify."""
    probabilities = record.get("disease_probability")
    if not isinstance(probabilities, Mapping) or not probabilities:
        return None
    spread = record.get("disease_disagreement")
    spreads = spread if isinstance(spread, Mapping) else {}
    classes = tuple(
        ClassProbability(str(name), float(value), float(spreads[name]) if name in spreads else None)
        for name, value in probabilities.items()
    )
    best = max(classes, key=lambda each: each.probability)
    reasons = record.get("reasons")
    stated = tuple(str(reason) for reason in reasons) if isinstance(reasons, list | tuple) else ()
    answer = str(record.get("diagnosis", best.name))
    return Diagnosis("Indeterminate" if answer == INDETERMINATE else answer, classes, stated)
