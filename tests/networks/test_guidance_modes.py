"""Guidance modes compared with their formulas, voxel by voxel."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError

from joint_seg_cls.networks import AddGuidance, ConcatGuidance, DotGuidance, FullGuidance, NoGuidance

C, GRID = 2, (2, 3, 2)


def slow_conv(volume, layer):
    """Convolve (c, x, y, z) by loops, with zeros outside."""
    weight, bias, stride, pad = layer.weight, layer.bias, layer.stride[0], layer.padding[0]
    out_shape = [(side + 2 * pad - weight.shape[2]) // stride + 1 for side in volume.shape[1:]]
    out = torch.zeros(len(weight), *out_shape, dtype=volume.dtype)
    for o, x, y, z in torch.cartesian_prod(*[torch.arange(n) for n in out.shape]).tolist():
        total = bias[o]
        for c, i, j, k in torch.cartesian_prod(*[torch.arange(n) for n in weight.shape[1:]]).tolist():
            at = [p * stride + q - pad for p, q in zip((x, y, z), (i, j, k), strict=True)]
            if all(0 <= p < n for p, n in zip(at, volume.shape[1:], strict=True)):
                total = total + weight[o, c, i, j, k] * volume[c, at[0], at[1], at[2]]
        out[o, x, y, z] = total
    return out


def slow_guidance(guidance, features, probability):
    projected = slow_conv(probability, guidance.project.convolution)
    if isinstance(guidance, AddGuidance):
        return features + projected
    gate = torch.ones_like(projected)
    if isinstance(guidance, (DotGuidance, FullGuidance)):
        if guidance.attention == "sigmoid":
            gate = 1 / (1 + (-projected).exp())
        else:
            gate = projected.exp() / projected.exp().sum() * math.prod(GRID)
    if isinstance(guidance, DotGuidance):
        return gate * features
    parts = [slow_conv(projected, guidance.fuse.lesion), slow_conv(gate * features, guidance.fuse.features)]
    return slow_conv(torch.cat(parts), guidance.fuse.mix)


@pytest.mark.parametrize(
    "make",
    [
        DotGuidance,
        lambda: DotGuidance(attention="softmax"),
        lambda: ConcatGuidance(C),
        AddGuidance,
        lambda: FullGuidance(C),
        lambda: FullGuidance(C, attention="softmax"),
    ],
    ids=["dot", "dot-softmax", "concat", "add", "full", "full-softmax"],
)
def test_guidance_follows_its_formula(make):
    torch.manual_seed(0)
    guidance = make().double()
    features = torch.randn(2, C, *GRID, dtype=torch.float64)
    probability = torch.rand(2, 1, *(2 * side for side in GRID), dtype=torch.float64)
    with torch.no_grad():
        expected = torch.stack([slow_guidance(guidance, d, p) for d, p in zip(features, probability, strict=True)])
        torch.testing.assert_close(guidance(features, probability), expected)


def test_gates_initialised_on_lesions_are_open_there_and_nearly_closed_elsewhere():
    probability = torch.zeros(1, 1, 8, 8, 8)
    probability[..., 4:6, 4:6, 4:6] = 1  # the 27 voxels around (4, 4, 4) contain these 8; those around (0, 0, 0) none
    gated = DotGuidance(start="lesions")(torch.ones(1, C, 4, 4, 4), probability)
    assert gated[0, 0, 2, 2, 2].item() == pytest.approx(1 / (1 + math.exp(-(8 * 0.5 - 2))))
    assert gated[0, 0, 0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(2)))


@pytest.mark.parametrize("make", [DotGuidance, lambda start: ConcatGuidance(C, start=start), AddGuidance])
def test_an_unknown_start_is_refused(make):
    with pytest.raises(TypeCheckError, match="zero"):
        make(start="zero")


def test_no_guidance_returns_the_features():
    features = torch.randn(1, C, *GRID)
    assert NoGuidance()(features, None) is features


def test_detached_guidance_gives_no_gradient_to_the_lesion_map():
    features = torch.randn(1, C, *GRID, requires_grad=True)
    for make in (
        DotGuidance,
        AddGuidance,
        lambda detach: ConcatGuidance(C, detach),
        lambda detach: FullGuidance(C, detach=detach),
    ):
        for detach in (False, True):
            probability = torch.rand(1, 1, *(2 * side for side in GRID), requires_grad=True)
            make(detach=detach)(features, probability).sum().backward()
            assert (probability.grad is None) is detach
