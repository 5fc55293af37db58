"""Convolutions that avoid torch's slow path on CPUs."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from joint_seg_cls.networks import JointNetwork
from joint_seg_cls.networks.convolution import Conv3d, UpConv

FORMATS = [torch.contiguous_format, torch.channels_last_3d]


def assert_equal_values_and_gradients(ours: torch.nn.Module, theirs: torch.nn.Module, image: torch.Tensor) -> None:
    theirs.load_state_dict(ours.state_dict())
    into, reference = image.clone(memory_format=torch.preserve_format).requires_grad_(), image.clone().requires_grad_()
    out, expected = ours(into), theirs(reference)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    gradients = [(into.grad, reference.grad)]
    gradients += [(a.grad, b.grad) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for a, b in gradients:
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("settings", [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
    {"kernel_size": 1},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 8, "stride": 8},
])  # fmt: skip
def test_equals_torchs_convolution(settings: dict, batch: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    image = torch.randn(batch, 3, 8, 16, 8).to(memory_format=memory_format)
    assert_equal_values_and_gradients(Conv3d(3, 4, **settings), torch.nn.Conv3d(3, 4, **settings), image)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("batch", [1, 2])
def test_equals_torchs_transposed_convolution(batch: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    image = torch.randn(batch, 4, 3, 4, 5).to(memory_format=memory_format)
    theirs = torch.nn.ConvTranspose3d(4, 2, kernel_size=2, stride=2, bias=False)
    assert_equal_values_and_gradients(UpConv(4, 2), theirs, image)


@pytest.mark.parametrize("batch", [1, 2])
def test_no_convolution_of_the_joint_network_takes_the_slow_path(batch: int) -> None:
    network = JointNetwork(channels=8, image_size=32).to(memory_format=torch.channels_last_3d)
    image = torch.randn(batch, 1, 32, 32, 32).to(memory_format=torch.channels_last_3d)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        out = network(image)
        (out.lesion_logits.mean() + out.disease_logits.mean()).backward()
        with torch.inference_mode():
            network.eval()(image)
    assert not [event.key for event in record.key_averages() if "slow_conv" in event.key]
