"""Lesion counts compared with panoptica, which requires older versions of its dependencies."""

import json
import subprocess
import sys

import numpy as np
import pytest

from joint_seg_cls.metrics import dice, lesion_wise

PANOPTICA = """
import json, sys
import numpy as np
from panoptica import ConnectedComponentsInstanceApproximator, InputType, Metric, NaiveThresholdMatching
from panoptica import Panoptica_Evaluator

evaluator = Panoptica_Evaluator(
    expected_input=InputType.SEMANTIC,
    instance_approximator=ConnectedComponentsInstanceApproximator(),
    instance_matcher=NaiveThresholdMatching(matching_metric=Metric.IOU, matching_threshold=1e-9),
    instance_metrics=[Metric.DSC],
    global_metrics=[Metric.DSC],
)
found = []
for prediction, reference in np.load(sys.argv[1]):
    (result,) = evaluator.evaluate(prediction, reference).values()
    found.append([result.n_ref_instances, result.n_pred_instances, result.tp, result.rq, result.global_bin_dsc])
print(json.dumps([[float(value) for value in row] for row in found]))
"""


def volumes(seed):
    """Draw cells of at most one reference and one predicted lesion each, so that one can only match the other."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((2, 24, 21, 18), dtype=np.uint8)
    for corner in np.ndindex(4, 3, 3):
        for mask in masks:
            start = np.multiply(corner, (6, 7, 6)) + generator.integers(0, 3, 3)
            size = generator.integers(1, 4, 3)
            if generator.random() < 0.7:
                mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = 1
    return masks


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_counts_equal_those_of_panoptica(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "panoptica==2.1.7"], check=True, capture_output=True)
    pairs = [volumes(seed) for seed in range(30)]
    np.save(tmp_path / "pairs.npy", pairs)
    (tmp_path / "judge.py").write_text(PANOPTICA, encoding="utf-8")
    answer = subprocess.run(
        [python, tmp_path / "judge.py", tmp_path / "pairs.npy"], check=True, capture_output=True, text=True
    )
    judged = json.loads(answer.stdout.splitlines()[-1])
    assert len(judged) == len(pairs)
    for (prediction, reference), (wanted, predicted, both, rq, dsc) in zip(pairs, judged, strict=True):
        found = lesion_wise(prediction, reference)
        assert found[:4] == (wanted, predicted, both, predicted - both)
        assert (found.f1, dice(prediction, reference)) == (pytest.approx(rq), pytest.approx(dsc))
