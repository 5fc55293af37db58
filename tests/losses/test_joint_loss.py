"""The joint loss: hand-computed values, partial labels, empty masks, precision and gradients."""

import math
import socket
import subprocess
import sys

import pytest
import torch

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.errors import ConfigError
from joint_seg_cls.losses import (
    CrossEntropyLoss,
    CrossTaskLoss,
    DiceCrossEntropyLoss,
    DiceLoss,
    JointLoss,
    NoCrossTaskLoss,
    terms,
)
from joint_seg_cls.networks import JointNetwork, SeparateStems

SIZE = 16


def logit(p):
    return math.log(p / (1 - p))


def batch_of(mask=None, disease=(0, 1), has_mask=(True, True), has_disease=(True, True), size=SIZE):
    mask = torch.zeros(2, 1, size, size, size) if mask is None else mask
    return Batch(
        image=torch.zeros_like(mask),
        lesion_mask=mask,
        disease=torch.tensor(disease),
        has_lesion_mask=torch.tensor(has_mask),
        has_disease=torch.tensor(has_disease),
        case=["a", "b"],
    )


def prediction_of(probability=0.5, scores=((1.0, 0.0), (0.0, 3.0)), scales=(0.1, 0.2, 0.3), maps=(1.0, 2.0, 3.0)):
    """Return constant maps; class 1 has the location maps ``maps`` (coarse to fine), class 0 their negative."""
    grids = [(SIZE // step,) * 3 for step in (8, 4, 2, 1)]
    pairs = zip(maps, grids[:3], strict=True)
    location = [torch.stack([torch.full(g, -v), torch.full(g, v)])[None].repeat(2, 1, 1, 1, 1) for v, g in pairs]
    leaves = [torch.full((2, 1, *g), logit(p)) for p, g in zip((*scales, probability), grids, strict=True)]
    return Prediction(
        lesion_logits=torch.full((2, 1, *grids[3]), logit(probability)).requires_grad_(),
        scale_logits=tuple(leaf.requires_grad_() for leaf in leaves),
        disease_logits=torch.tensor(scores).requires_grad_(),
        location_maps=tuple(leaf.requires_grad_() for leaf in location),
    )


def value(tensor):
    return float(tensor.detach())


def lesion(voxels):
    mask = torch.zeros(2, 1, SIZE, SIZE, SIZE)
    mask[0].flatten()[:voxels] = 1
    return mask


def test_hand_computed_terms_and_total():
    prediction, batch = prediction_of(), batch_of(lesion(100))
    terms = JointLoss()(prediction, batch)
    half = SIZE**3 / 2
    dice = [1 - (2 * 50 + 1) / (half + 100 + 1), 1 - 1 / (half + 1)]
    entropy = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(-3))]
    # scan 0 is MS, its maps are -1, -2, -3; scan 1 is NMOSD, its maps are 1, 2, 3; eta from coarse to fine
    cross = [
        sum(w * (s - sign * v) ** 2 for w, s, v in zip((0.5, 0.25, 0.25), (0.1, 0.2, 0.3), (1, 2, 3), strict=True))
        for sign in (-1, 1)
    ]
    assert set(terms) == {"segmentation", "classification", "cross_task", "total"}
    assert value(terms["segmentation"]) == pytest.approx(sum(dice) / 2, rel=1e-5)
    assert value(terms["classification"]) == pytest.approx(sum(entropy) / 2, rel=1e-5)
    assert value(terms["cross_task"]) == pytest.approx(sum(cross) / 2, rel=1e-5)
    assert value(terms["total"]) == pytest.approx((sum(dice) + 0.8 * sum(entropy) + sum(cross)) / 2, rel=1e-5)
    weighted = JointLoss(segmentation_weight=2, classification_weight=3, cross_task_weight=5)(prediction, batch)
    assert value(weighted["total"]) == pytest.approx((2 * sum(dice) + 3 * sum(entropy) + 5 * sum(cross)) / 2, rel=1e-5)
    assert value(weighted["cross_task"]) == pytest.approx(sum(cross) / 2, rel=1e-5)


def test_the_cross_entropy_is_the_binary_one_for_two_classes():
    scores = torch.randn(4, 2)
    disease = torch.tensor([0, 1, 1, 0])
    expected = torch.nn.functional.binary_cross_entropy(scores.softmax(1)[:, 1], disease.float())
    torch.testing.assert_close(CrossEntropyLoss()(scores, disease, torch.ones(4, dtype=torch.bool)), expected)


def test_class_weights_apply_in_a_batch_of_one_class():
    scores, disease, known = torch.zeros(2, 3), torch.tensor([2, 2]), torch.tensor([True, True])
    assert value(CrossEntropyLoss([1, 1, 3])(scores, disease, known)) == pytest.approx(3 * math.log(3))
    with pytest.raises(ConfigError, match="3 weights, one for each class, found 2"):
        CrossEntropyLoss([1, 1])(scores, disease, known)
    with pytest.raises(ConfigError, match="positive"):
        CrossEntropyLoss([1, 0])


def test_an_unlabelled_scan_does_not_change_the_term_of_others():
    mask = lesion(100)
    both = JointLoss()(prediction_of(), batch_of(mask))
    first = JointLoss()(prediction_of(), batch_of(mask, has_mask=(True, False), has_disease=(False, True)))
    half = SIZE**3 / 2
    assert value(first["segmentation"]) == pytest.approx(1 - (2 * 50 + 1) / (half + 100 + 1), rel=1e-5)
    assert value(first["classification"]) == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-5)
    # scan 0 is guessed to be class 0, which it is: the term is computed for both scans all the same
    assert value(first["cross_task"]) == pytest.approx(value(both["cross_task"]))


def test_a_scan_without_a_mask_gets_no_gradient_from_the_segmentation_loss():
    prediction = prediction_of()
    JointLoss()(prediction, batch_of(lesion(9), has_mask=(False, True)))["segmentation"].backward()
    assert not prediction.lesion_logits.grad[0].any()
    assert prediction.lesion_logits.grad[1].any()


def test_a_batch_without_labels_of_one_kind_gives_an_exact_zero_attached_to_the_graph():
    for absent, output in (("has_mask", "lesion_logits"), ("has_disease", "disease_logits")):
        prediction = prediction_of()
        terms = JointLoss(cross_task=NoCrossTaskLoss())(prediction, batch_of(**{absent: (False, False)}))
        term = terms["segmentation" if absent == "has_mask" else "classification"]
        assert value(term) == 0.0
        terms["total"].backward()
        assert not getattr(prediction, output).grad.any()


def test_terms_of_missing_outputs_are_exactly_zero():
    full = prediction_of()
    only_seg = full._replace(disease_logits=None, location_maps=None)
    terms = JointLoss()(only_seg, batch_of(lesion(5)))
    assert value(terms["classification"]) == value(terms["cross_task"]) == 0.0
    assert terms["classification"].requires_grad
    assert terms["cross_task"].requires_grad
    torch.testing.assert_close(terms["total"], terms["segmentation"])
    only_cls = full._replace(lesion_logits=None, scale_logits=None)
    terms = JointLoss()(only_cls, batch_of())
    assert value(terms["segmentation"]) == value(terms["cross_task"]) == 0.0
    torch.testing.assert_close(terms["total"], 0.8 * terms["classification"])


def test_the_cross_task_term_can_be_omitted():
    prediction = prediction_of()
    terms = JointLoss(cross_task=NoCrossTaskLoss())(prediction, batch_of(lesion(5)))
    assert value(terms["cross_task"]) == 0.0
    terms["cross_task"].backward()
    assert not any(maps.grad.any() for maps in prediction.location_maps)


def test_an_empty_reference_is_included_unless_excluded():
    prediction, mask, known = prediction_of(probability=1e-9), lesion(100), torch.tensor([True, True])
    missed, clean = 1 - 1 / 101, 0.0
    arguments = (prediction.lesion_logits, mask, known)
    assert value(DiceLoss()(*arguments)) == pytest.approx((missed + clean) / 2, abs=1e-4)
    assert value(DiceLoss(leave_out_empty=True)(*arguments)) == pytest.approx(missed, abs=1e-4)
    empty = DiceLoss(leave_out_empty=True)(prediction.lesion_logits, torch.zeros_like(mask), known)
    assert value(empty) == 0.0
    assert empty.requires_grad


def test_one_dice_may_cover_the_batch():
    prediction, known = prediction_of(probability=0.5), torch.tensor([True, True])
    mask = lesion(64)
    mask[1].view(-1)[:8] = 1
    voxels = mask[0].numel()
    found = value(DiceLoss(over_batch=True)(prediction.lesion_logits, mask, known))
    assert found == pytest.approx(1 - (2 * 0.5 * 72 + 1) / (0.5 * 2 * voxels + 72 + 1), rel=1e-5)
    first = torch.tensor([True, False])  # as if the second scan were not there
    alone = value(DiceLoss()(prediction.lesion_logits, mask, first))
    assert value(DiceLoss(over_batch=True)(prediction.lesion_logits, mask, first)) == pytest.approx(alone, rel=1e-5)


def test_voxel_wise_cross_entropy_can_be_added():
    prediction, mask, known = prediction_of(probability=0.2), lesion(1024), torch.tensor([True, False])
    entropy = -(0.25 * math.log(0.2) + 0.75 * math.log(0.8))
    dice = value(DiceLoss()(prediction.lesion_logits, mask, known))
    assert value(DiceCrossEntropyLoss()(prediction.lesion_logits, mask, known)) == pytest.approx(
        dice + entropy, rel=1e-5
    )


@pytest.mark.parametrize(
    ("switches", "weights", "squash"),
    [
        ({"eta_order": "reversed"}, (0.25, 0.25, 0.5), lambda v: v),
        ({"location": "sigmoid"}, (0.5, 0.25, 0.25), lambda v: 1 / (1 + math.exp(-v))),
        ({"location": "relu_minmax"}, (0.5, 0.25, 0.25), lambda _: 0.0),  # a constant map has no range
    ],
)
def test_hand_computed_cross_task_options(switches, weights, squash):
    loss = JointLoss(cross_task=CrossTaskLoss(**switches))
    found = value(loss(prediction_of(), batch_of(disease=(1, 1)))["cross_task"])
    triples = zip(weights, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), strict=True)
    assert found == pytest.approx(sum(w * (s - squash(v)) ** 2 for w, s, v in triples), rel=1e-4)


def test_relu_and_min_max_scale_each_map_to_the_unit_range():
    maps = tuple(torch.zeros(1, 2, *(n,) * 3) for n in (2, 4, 8))
    maps[0][0, 1, 0, 0, :] = torch.tensor([-3.0, 4.0])
    maps[0][0, 1, 0, 1, :] = torch.tensor([8.0, 2.0])
    scales = tuple(torch.full((1, 1, *(n,) * 3), -1e4) for n in (2, 4, 8, 16))
    loss = CrossTaskLoss(location="relu_minmax")(scales, maps, torch.tensor([1]), torch.tensor([True]))
    assert value(loss) == pytest.approx(0.5 * (0.5**2 + 1.0**2 + 0.25**2) / 8, rel=1e-5)


def test_gradients_reach_both_sides_of_the_cross_task_term_unless_one_is_detached():
    for stop, segmentation, location in (
        ("none", True, True),
        ("segmentation", False, True),
        ("location", True, False),
    ):
        prediction = prediction_of()
        JointLoss(cross_task=CrossTaskLoss(stop_gradient=stop))(prediction, batch_of())["cross_task"].backward()
        assert all((maps.grad is not None) is segmentation for maps in prediction.scale_logits[:3])
        assert all(bool(maps.grad.any()) is location for maps in prediction.location_maps if maps.grad is not None)
        assert (prediction.location_maps[0].grad is not None) is location


def test_a_predicted_class_gives_no_gradient_to_its_location_map():
    prediction = prediction_of()
    JointLoss()(prediction, batch_of(has_disease=(False, True), has_mask=(False, False)))["cross_task"].backward()
    for maps in prediction.location_maps:
        assert not maps.grad[0].any()
        assert maps.grad[1, 1].any()
    assert all(maps.grad[0].any() for maps in prediction.scale_logits[:3])


def test_the_class_is_the_true_one_in_training_and_the_predicted_one_otherwise():
    prediction, batch = prediction_of(scores=((0.0, 9.0), (0.0, 9.0))), batch_of(disease=(0, 0))
    loss = JointLoss()
    as_ms = [0.5 * 1.1**2 + 0.25 * 2.2**2 + 0.25 * 3.3**2, 0.5 * 0.9**2 + 0.25 * 1.8**2 + 0.25 * 2.7**2]
    assert value(loss(prediction, batch)["cross_task"]) == pytest.approx(as_ms[0], rel=1e-5)
    assert value(loss.eval()(prediction, batch)["cross_task"]) == pytest.approx(as_ms[1], rel=1e-5)
    unknown = loss.train()(prediction, batch_of(disease=(0, 0), has_disease=(False, False)))
    assert value(unknown["cross_task"]) == pytest.approx(as_ms[1], rel=1e-5)


def test_everything_is_float32_under_autocast():
    prediction = prediction_of(probability=0.01)
    low = Prediction(
        lesion_logits=prediction.lesion_logits.bfloat16(),
        scale_logits=tuple(maps.bfloat16() for maps in prediction.scale_logits),
        disease_logits=prediction.disease_logits.bfloat16(),
        location_maps=tuple(maps.bfloat16() for maps in prediction.location_maps),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = JointLoss()(low, batch_of(lesion(100)))
    assert {term.dtype for term in terms.values()} == {torch.float32}
    rounded = Prediction(
        low.lesion_logits.float(),
        tuple(maps.float() for maps in low.scale_logits),
        low.disease_logits.float(),
        tuple(maps.float() for maps in low.location_maps),
    )
    for name, expected in JointLoss()(rounded, batch_of(lesion(100))).items():
        torch.testing.assert_close(terms[name], expected, rtol=0, atol=0)


def test_the_cross_task_term_alone_trains_both_heads():
    torch.manual_seed(0)
    network = JointNetwork(sharing=SeparateStems(1, 8), channels=8, image_size=32)
    image = torch.randn(2, 1, 32, 32, 32)
    batch = batch_of(torch.zeros_like(image), size=32)
    JointLoss()(network(image), batch)["cross_task"].backward()
    # Only the bias of the class scores is not used by the term.
    dead = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert dead == {"classification.score.bias"}


RANK = """
import importlib.util, sys, torch
from torch import distributed
rank, port, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
terms = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("terms", path))
spec.loader.exec_module(terms)  # the one file, since the rest takes long to import
mean_over = terms.mean_over
distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
weight = torch.ones((), requires_grad=True)
scans, chosen = (([1.0, 2.0], [True, True]), ([6.0, 50.0], [True, False]))[rank]
mean_over(weight * torch.tensor(scans), torch.tensor(chosen)).backward()
distributed.all_reduce(weight.grad)
assert float(weight.grad / 2) == 3.0, weight.grad  # (1 + 2 + 6) / 3, as in one process
none = mean_over(weight * torch.tensor(scans), torch.tensor([False, False]))
assert float(none.detach()) == 0.0 and none.requires_grad
with torch.no_grad():  # no communication, so that one process may validate
    if rank == 0:
        assert float(mean_over(torch.tensor(scans), torch.tensor(chosen))) == 1.5
distributed.barrier()
distributed.destroy_process_group()
"""


def test_two_processes_have_the_gradient_of_one():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-c", RANK]
    ranks = [
        subprocess.Popen([*command, str(rank), port, terms.__file__], stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
