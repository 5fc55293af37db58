"""Verdicts, Holm's correction, best and second-best marks, convergence, and paired scans."""

import math

import numpy as np
import pandas as pd
import pytest

from joint_seg_cls.metrics import Comparison
from joint_seg_cls.report.claims import Claim, holm
from joint_seg_cls.report.convergence import fall_at_the_end, has_converged
from joint_seg_cls.report.pairs import pair
from joint_seg_cls.report.study_table import mark


def found(difference, p_low_high, smallest):
    return Comparison(difference, *p_low_high, 0.5, smallest, 50, 50)


@pytest.mark.parametrize(
    ("difference", "smallest", "p", "verdict"),
    [
        (0.05, 0.03, 0.01, "holds"),
        (0.02, 0.03, 0.30, "not decided"),
        (0.02, 0.03, 0.01, "not decided"),
        (-0.02, 0.03, 0.30, "not decided"),
        (-0.02, 0.03, 0.04, "not decided"),
        (-0.05, 0.03, 0.01, "does not hold"),
        (-0.05, math.inf, 0.2, "not decided"),
        (0.05, 0.03, math.nan, "not decided"),
    ],
)
def test_a_claim_below_the_detectable_difference_is_not_decided(difference, smallest, p, verdict):
    claim = Claim("a", "b", "DSC", "test", found(difference, (-0.1, 0.1), smallest), p)
    assert claim.verdict == verdict


def test_a_published_difference_outside_the_interval_is_ruled_out():
    claim = Claim("a", "b", "DSC", "test", found(0.0, (-0.01, 0.01), 0.02), 0.9, published=0.0363)
    assert claim.verdict == "not decided"
    assert "ruled out" in claim.conclusion
    nothing_varies = Claim("a", "b", "DSC", "test", found(0.0, (0.0, 0.0), math.nan), 1.0, published=0.0363)
    assert "ruled out" not in nothing_varies.conclusion
    assert (
        "ruled out" not in Claim("a", "b", "DSC", "t", found(0.0, (-0.1, 0.1), 0.02), 0.9, published=0.0363).conclusion
    )


def test_a_claim_with_a_caveat_is_not_decided():
    clear = found(0.2, (0.1, 0.3), 0.05)
    assert Claim("a", "b", "DSC", "test", clear, 0.001, published=0.4).verdict == "holds"
    claim = Claim("a", "b", "DSC", "test", clear._replace(caveat="it has the opposite direction"), 0.001, published=0.4)
    assert claim.verdict == "not decided"
    assert claim.conclusion == "not decided: it has the opposite direction"


def test_hand_computed_holm_correction_excludes_undefined_values():
    assert holm([0.04, math.nan, 0.01, 0.03]) == pytest.approx([0.06, math.nan, 0.03, 0.06], nan_ok=True)


def test_best_and_second_use_printed_values_and_share_ties():
    assert mark([71.24, 71.24, 50.0, None], lower=False) == ["best", "best", "second", ""]
    assert mark([0.2, 0.3], lower=True) == ["best", "second"]
    assert mark([0.2, None], lower=True) == ["", ""]


def test_a_training_has_converged_when_its_loss_fell_by_less_than_two_percent_in_the_last_fifth():
    def metrics(losses):
        return pd.DataFrame({"epoch": range(len(losses)), "train/loss/total": losses})

    falling = [1.0] * 7 + [1.0, 0.99, 0.97]  # from the eighth epoch's end to the tenth's
    assert fall_at_the_end(metrics(falling)) == pytest.approx(0.03, abs=0.001)
    assert has_converged(metrics(falling)) is False
    assert has_converged(metrics([1.0] * 8 + [0.995, 0.99])) is True
    assert has_converged(metrics([1.0])) is None
    assert has_converged(None) is None
    for broken in (math.nan, math.inf, None):
        assert has_converged(metrics([1.0] * 8 + [0.995, broken])) is None
    assert has_converged(metrics([math.nan] + [1.0] * 7 + [0.995, 0.99])) is True


def test_pairs_are_common_scans_with_common_seeds():
    def rows(seeds, cases):
        return pd.DataFrame(
            [{"case": case, "seed": seed, "dsc": seed + 0.01 * number, "subject": case}
             for seed in seeds for number, case in enumerate(cases)]
        )  # fmt: skip

    both = pair(rows([0, 1, 2], "abcd"), rows([1, 2, 3], "dcbx"), ["dsc"])
    assert both.rows.index.tolist() == ["b", "c", "d"]
    np.testing.assert_allclose(both.first[0], [[1.01, 2.01], [1.02, 2.02], [1.03, 2.03]])
    np.testing.assert_allclose(both.second[0], [[1.02, 2.02], [1.01, 2.01], [1.0, 2.0]])
    other = pair(rows([0], "ab"), rows([5], "ab"), ["dsc"])
    np.testing.assert_allclose(other.second[0][:, 0], [5.0, 5.01])
    assert pair(rows([0], "ab"), rows([0], "xy"), ["dsc"]) is None
