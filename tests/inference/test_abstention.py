"""The rule that answers "indeterminate": each reason alone, several together, and none."""

import numpy as np
import pytest

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.inference.abstention import INDETERMINATE, Answer, Limits, answer

CLASSES = ("MS", "NMOSD", "HC")
SURE = np.array([0.1, 0.85, 0.05])


def test_a_sure_diagnosis_has_no_reason():
    assert answer(SURE, CLASSES) == Answer("NMOSD", ())
    spread = np.array([0.3, 0.1, 0.2])  # of the predicted class below the limit
    assert answer(SURE, CLASSES, spread=spread, lesion_count=3).diagnosis == "NMOSD"


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"spread": np.array([0.0, 0.25, 0.0])}, "probability of NMOSD has a standard deviation of 0.25"),
        ({"lesion_count": 0}, "no lesion was segmented"),
        ({"unlike": ["the brain volume is 400 mL"]}, "unlike the training scans: the brain volume is 400 mL"),
        ({"poor_registration": "the registration is poor"}, "the registration is poor"),
        ({"limits": Limits(least_probability=0.9)}, "the probability of NMOSD is 0.85, below 0.90"),
    ],
)
def test_each_reason_alone_makes_it_indeterminate(known, says):
    found = answer(SURE, CLASSES, **known)
    assert found.diagnosis == INDETERMINATE
    assert len(found.reasons) == 1
    assert says in found.reasons[0]


def test_all_reasons_are_given():
    found = answer(np.array([0.4, 0.3, 0.3]), CLASSES, lesion_count=0, unlike=["a", "b"])
    assert len(found.reasons) == 4


def test_a_control_needs_no_lesion():
    control = np.array([0.1, 0.1, 0.8])
    assert answer(control, CLASSES, lesion_count=0, lesion_free=("HC",)).diagnosis == "HC"
    assert answer(control, CLASSES, lesion_count=0).diagnosis == INDETERMINATE


def test_a_limit_is_not_passed_by_being_reached():
    assert answer(np.array([0.6, 0.4]), CLASSES[:2]).diagnosis == "MS"
    assert answer(np.array([0.4, 0.6 - 1e-9]), CLASSES[:2]).diagnosis == INDETERMINATE
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Limits(least_probability=1.2)
