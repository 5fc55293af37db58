"""Closed choices are ``Literal``; other values are refused with their key, also outside tests."""

import pytest
from jaxtyping import TypeCheckError

from joint_seg_cls.losses import CrossTaskLoss

#: The types of arguments are checked in tests only, so these are constructed without.
REFUSED = {
    "losses.CrossTaskLoss(eta_order='up')": "loss.cross_task.eta_order: expected blocks or reversed, found up;",
    "losses.CrossTaskLoss(location='up')": "loss.cross_task.location: expected one of linear, sigmoid, relu_minmax,",
    "losses.CrossTaskLoss(stop_gradient='up')": "loss.cross_task.stop_gradient: expected one of none, segmentation,",
    "networks.FullGuidance(attention='relu')": "network.guidance.attention: expected sigmoid or softmax, found relu;",
    "networks.AddGuidance(start='zero')": "network.guidance.start: expected random or lesions, found zero;",
    "preprocess.HdBet(networks=3)": "preprocess.brain.extractor.networks: expected 1 or 5, found 3;",
    "preprocess.HdBet(device='tpu')": "preprocess.brain.extractor.device: expected one of auto, cpu, cuda, found tpu;",
    "data.make_folds([], 'leaky', 5, 0)": "data.folds.kind: expected one of random, stratified, grouped, strict, found",
}
CODE = """
import sys
from joint_seg_cls import data, losses, networks, preprocess
from joint_seg_cls.errors import ConfigError
for words in sys.argv[1:]:
    try:
        eval(words)
    except ConfigError as error:
        print(error)
"""


def test_an_invalid_choice_is_refused_with_its_key(forks):
    for found, expected in zip(forks.unwatched(CODE, *REFUSED).splitlines(), REFUSED.values(), strict=True):
        assert found.startswith(expected)


def test_type_checks_refuse_an_invalid_choice():
    with pytest.raises(TypeCheckError):
        CrossTaskLoss(location="up")
