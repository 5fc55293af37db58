"""The rule by which a diagnosis is "indeterminate", with the reasons.

The diagnosis is the most probable class unless one of these holds:

1. its probability is below ``least_probability``;
2. members of an ensemble, or views, disagree: the standard deviation of its probability over them is above
   ``most_spread``;
3. no lesion was segmented, and most training scans of the class have lesions;
4. the scan is unlike the training scans in voxel size, intensities or brain volume (:mod:`.familiarity`);
5. the registration to the template is known and poor.

All reasons that hold are listed. The limits do not depend on the network; ``jsc report`` draws the
accuracy against the share of scans that are answered as ``least_probability`` changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from joint_seg_cls.errors import require_valid

#: The diagnosis if no class is named.
INDETERMINATE = "indeterminate"


@final
@dataclass(frozen=True)
class Limits:
    """Limits of the rule.

    Args:
        least_probability: least probability of the predicted class. With two classes the default excludes the range
            from 0.4 to 0.6. With 0, every probability is accepted.
        most_spread: largest standard deviation of its probability over members or views.

    Raises:
        ConfigError: ``least_probability`` is not from 0 to 1.
    """

    least_probability: float = 0.6
    most_spread: float = 0.15

    def __post_init__(self) -> None:
        least = self.least_probability
        require_valid("least_probability", 0 <= least <= 1, "a probability from 0 to 1", least)


@final
@dataclass(frozen=True)
class Answer:
    """The answer for a scan.

    Args:
        diagnosis: a class, or :data:`INDETERMINATE`.
        reasons: why it is indeterminate, one sentence each; empty for a class.
    """

    diagnosis: str
    reasons: tuple[str, ...] = ()


def answer(
    probability: Float[np.ndarray, " classes"],
    classes: Sequence[str],
    *,
    spread: Float[np.ndarray, " classes"] | None = None,
    lesion_count: int | None = None,
    lesion_free: Sequence[str] = (),
    unlike: Sequence[str] = (),
    poor_registration: str | None = None,
    limits: Limits | None = None,
) -> Answer:
    """Return the diagnosis of a scan, or the reasons why it is indeterminate.

    Args:
        probability: calibrated class probabilities.
        classes: names of the classes, in the same order.
        spread: standard deviation of each class's probability over members of an ensemble and views; None for a single
            prediction.
        lesion_count: number of segmented lesions; None if the network does not segment.
        lesion_free: classes that need no lesion, such as healthy controls.
        unlike: sentences on how the scan differs from the training scans.
        poor_registration: a sentence if the registration to the template is poor; None if it is good or unknown.
        limits: of the rule; None for the defaults.
    """
    limits = limits or Limits()
    predicted = int(probability.argmax())
    name, highest = classes[predicted], float(probability[predicted])
    reasons = []
    if highest < limits.least_probability:
        reasons.append(f"the probability of {name} is {highest:.2f}, below {limits.least_probability:.2f}")
    if spread is not None and spread[predicted] > limits.most_spread:
        found = f"{spread[predicted]:.2f}, above {limits.most_spread:.2f}"
        reasons.append(f"members or views disagree: the probability of {name} has a standard deviation of {found}")
    if lesion_count == 0 and name not in lesion_free:
        reasons.append("no lesion was segmented")
    reasons += [f"unlike the training scans: {sentence}" for sentence in unlike]
    if poor_registration is not None:
        reasons.append(poor_registration)
    return Answer(INDETERMINATE if reasons else name, tuple(reasons))
