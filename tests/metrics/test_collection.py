"""Metrics by epoch: hand-computed means over scans, NaN if undefined, independent of the number of processes."""

import math
import multiprocessing

import pytest
import torch

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.metrics import task_metrics


def scans(masks, predicted, diseases, logits):
    """A batch of scans of three voxels; None for a missing label."""
    reference = torch.tensor([[0.0] * 3 if mask is None else mask for mask in masks]).reshape(-1, 1, 3, 1, 1)
    batch = Batch(
        image=torch.zeros_like(reference),
        lesion_mask=reference,
        disease=torch.tensor([0 if disease is None else disease for disease in diseases]),
        has_lesion_mask=torch.tensor([mask is not None for mask in masks]),
        has_disease=torch.tensor([disease is not None for disease in diseases]),
        case=[str(number) for number in range(len(masks))],
    )
    lesion_logits = None if predicted is None else torch.tensor(predicted).reshape(-1, 1, 3, 1, 1)
    return Prediction(lesion_logits=lesion_logits, disease_logits=torch.tensor(logits)), batch


FIRST = scans(
    masks=[[1.0, 1.0, 0.0], None, [0.0, 0.0, 0.0]],
    predicted=[[9.0, -9.0, -9.0], [9.0, 9.0, 9.0], [9.0, 9.0, 9.0]],
    diseases=[0, None, 1],
    logits=[[2.0, 0.0], [0.0, 5.0], [1.0, 0.0]],
)
SECOND = scans(
    masks=[[1.0, 0.0, 0.0]], predicted=[[0.0, -9.0, -9.0]], diseases=[1], logits=[[0.0, 3.0]]
)  # fmt: skip


def numbers(*parts):
    metrics = task_metrics(lesion_threshold=0.5, classes=2).clone(prefix="val/")
    for prediction, batch in parts:
        metrics.update(prediction, batch)
    return {name: float(value) for name, value in metrics.compute().items()}


def test_dice_is_the_mean_over_scans_with_a_lesion_and_the_disease_is_ranked_over_all():
    # Dice of the first scan 2 / (1 + 2), of the last 1: a voxel at the threshold counts as lesion.
    # The first NMOSD scan is called MS, but ranked above the MS scan.
    found = numbers(FIRST, SECOND)
    assert found == pytest.approx({"val/dice": (2 / 3 + 1) / 2, "val/acc": 2 / 3, "val/auc": 1.0})


def test_undefined_metrics_are_nan():
    nothing = scans([None], [[9.0] * 3], [None], [[1.0, 0.0]])
    assert all(map(math.isnan, numbers(nothing).values()))
    one_class = numbers(SECOND)
    assert (one_class["val/acc"], math.isnan(one_class["val/auc"])) == (1.0, True)
    no_segmentation = numbers(scans([[1.0, 0.0, 0.0]], None, [1], [[0.0, 3.0]]))
    assert math.isnan(no_segmentation["val/dice"])


def test_clones_are_independent():
    first = task_metrics(lesion_threshold=0.5, classes=2)
    validation, test = first.clone(prefix="val/"), first.clone(prefix="test/")
    validation.update(*FIRST)
    assert float(validation.compute()["val/acc"]) == 0.5
    assert math.isnan(test.update(*scans([None], [[9.0] * 3], [None], [[1.0, 0.0]])) or test.compute()["test/acc"])


def numbers_of_a_part(meeting, rank, out):
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    parts = [[FIRST, SECOND], [scans([None], [[9.0] * 3], [None], [[1.0, 0.0]])]]
    out.send(numbers(*parts[rank]))


def test_a_process_without_labels_has_the_numbers_of_all(tmp_path):
    forks, (read, write) = multiprocessing.get_context("fork"), multiprocessing.Pipe(duplex=False)
    meeting = (tmp_path / "meeting").as_uri()
    both = [forks.Process(target=numbers_of_a_part, args=(meeting, rank, write)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert [read.recv(), read.recv()] == [numbers(FIRST, SECOND)] * 2
