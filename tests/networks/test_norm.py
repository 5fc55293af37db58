"""The instance norm that keeps the channels-last memory format."""

import pytest
import torch

from joint_seg_cls.networks.norm import InstanceNorm


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_equals_torchs_instance_norm_and_keeps_the_memory_format(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    ours, theirs = InstanceNorm(3, affine=True), torch.nn.InstanceNorm3d(3, affine=True)
    torch.nn.init.normal_(ours.weight)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    image = (5 + 2 * torch.randn(2, 3, 4, 6, 5)).to(memory_format=memory_format)
    into, reference = image.clone(memory_format=torch.preserve_format).requires_grad_(), image.clone().requires_grad_()
    direction = torch.randn(image.shape)
    out, expected = ours(into), theirs(reference)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=memory_format)
    out.backward(direction)
    expected.backward(direction)
    for a, b in ((into, reference), (ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_channels_last_form_are_exact() -> None:
    torch.manual_seed(0)
    norm = InstanceNorm(2, affine=True)
    image = torch.randn(1, 2, 3, 3, 3).to(memory_format=torch.channels_last_3d).requires_grad_()
    for index in ((0, 0, 1, 1, 1), (0, 1, 2, 0, 1)):
        (norm(image).tanh().sum()).backward()
        step = torch.zeros_like(image)
        step[index] = 1e-2
        with torch.no_grad():
            slope = (norm(image + step).tanh().sum() - norm(image - step).tanh().sum()) / 2e-2
        assert image.grad is not None
        assert float(image.grad[index]) == pytest.approx(float(slope), abs=2e-3)
        image.grad = None
