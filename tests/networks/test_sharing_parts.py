"""Information sharing: normalisation, windows, interpolation and the crossover unit."""

import math

import pytest
import torch
from torch.nn import functional

from joint_seg_cls.networks import Crossover, CrossoverSharing, GlobalBranch, LocalBranch, LocalSharing, ShiftedWindows
from joint_seg_cls.networks.upsampling import upsample_linear


def test_crossover_has_the_given_initial_weights():
    features = Crossover(segmentation_local=1.0, classification_local=0.75)(
        torch.full((1, 1, 1, 1, 1), 10.0), torch.full((1, 1, 1, 1, 1), 1000.0)
    )
    assert features.segmentation.item() == pytest.approx(10.0)
    assert features.classification.item() == pytest.approx(0.75 * 10 + 0.25 * 1000)


def seeded(make):
    torch.manual_seed(0)
    return make().double().eval()


def test_the_crossover_starts_on_the_branch_of_the_task():
    features = Crossover()(torch.full((1, 1, 1, 1, 1), 10.0), torch.full((1, 1, 1, 1, 1), 1000.0))
    assert float(features.segmentation.detach()) == pytest.approx(0.9 * 10 + 0.1 * 1000)
    assert float(features.classification.detach()) == pytest.approx(0.1 * 10 + 0.9 * 1000)


def test_a_single_branch_is_a_limit_of_the_crossover():
    sharing = seeded(lambda: CrossoverSharing(1, 8, 32))
    image = torch.randn(1, 1, 32, 32, 32, dtype=torch.float64)
    only_local = LocalSharing(1, 8).double()
    only_local.local_branch.load_state_dict(sharing.local_branch.state_dict())
    branches = (only_local(image).segmentation, sharing.global_branch(image))
    for column, expected in enumerate(branches):
        with torch.no_grad():
            sharing.crossover.weights.zero_()
            sharing.crossover.weights[:, column] = 1
        features = sharing(image)
        torch.testing.assert_close(features.segmentation, expected)
        torch.testing.assert_close(features.classification, expected)
    assert not torch.allclose(*branches)


def test_the_local_branch_does_not_erase_a_one_channel_image_nor_depend_on_its_scale():
    branch = seeded(LocalBranch)
    image = torch.randn(1, 1, 16, 16, 32, dtype=torch.float64)
    features = branch(image)
    assert features.shape == (1, 32, 8, 8, 16)
    assert float(features.std().detach()) > 0.01
    torch.testing.assert_close(branch(100 + 50 * image), features, rtol=1e-3, atol=1e-3)


def test_the_local_branch_is_not_linear():
    branch = seeded(LocalBranch)
    branch.norm = torch.nn.Identity()
    one, two = torch.randn(2, 1, 1, 16, 16, 16, dtype=torch.float64)
    zero = branch(torch.zeros_like(one))
    assert not torch.allclose(branch(one + two) - zero, branch(one) + branch(two) - 2 * zero, atol=1e-3)


@pytest.mark.parametrize("size", [(7, 6, 10), (40, 24, 80), (5, 3, 4)])
def test_interpolation_is_trilinear_between_voxel_centres(size):
    volume = torch.randn(2, 3, 5, 3, 4, dtype=torch.float64)
    expected = functional.interpolate(volume, size=size, mode="trilinear", align_corners=False)
    torch.testing.assert_close(upsample_linear(volume, size), expected)


def test_a_token_represents_16_voxels_and_its_embedding_is_pooled():
    branch = seeded(lambda: GlobalBranch(1, 8, (32, 16, 16)))
    seen = []
    branch.norm.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    image = torch.randn(1, 1, 32, 16, 16, dtype=torch.float64)
    assert branch(image).shape == (1, 8, 16, 8, 8)
    expected = functional.avg_pool3d(functional.conv3d(image, branch.embed.weight, branch.embed.bias, stride=8), 2)
    torch.testing.assert_close(seen[0], expected.permute(0, 2, 3, 4, 1))


def test_a_wider_embedding_is_projected_before_the_interpolation():
    branch = GlobalBranch(1, 8, 32, embedding_width=12, heads=3)
    assert branch.project.weight.shape == (8, 12, 1, 1, 1)
    assert branch(torch.zeros(1, 1, 32, 32, 32)).shape == (1, 8, 16, 16, 16)


def reach(windows, grid, start):
    """Return the tokens that change when the token ``start`` does."""
    tokens = torch.randn(1, 8, *grid, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    moved = tokens.clone()
    moved[0, :, *start] += 5 * torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        change = (windows(moved) - windows(tokens)).abs().amax((0, 1))
    return {tuple(index) for index in (change > 1e-12).nonzero().tolist()}


def box(low, high):
    return {(x, y, z) for x in range(low, high) for y in range(low, high) for z in range(low, high)}


def test_windows_shift_on_a_grid_of_ten_tokens():
    windows = seeded(lambda: ShiftedWindows(8, 4, (10, 10, 10)))
    assert reach(windows, (10, 10, 10), (0, 0, 0)) == box(0, 7)  # its window 0-4, then the shifted window 2-6
    assert reach(windows, (10, 10, 10), (9, 9, 9)) == box(2, 10)  # its window 5-9, then 2-6 and 7-9, without wrapping
    windows.layers = windows.layers[:1]
    windows.shifts = windows.shifts[:1]
    assert reach(windows, (10, 10, 10), (0, 0, 0)) == box(0, 5)


def test_windows_shift_only_along_long_axes():
    windows = seeded(lambda: ShiftedWindows(8, 4, (10, 5, 4)))
    expected = {(x, y, z) for x in range(7) for y in range(5) for z in range(4)}
    assert reach(windows, (10, 5, 4), (0, 0, 0)) == expected


def slow_attention(attention, tokens, grid):
    """Attention in one window over the whole grid, with the position bias of each pair's true offset."""
    window = attention.window_size
    places = [(x, y, z) for x in range(grid[0]) for y in range(grid[1]) for z in range(grid[2])]
    heads, width = attention.num_heads, attention.dim // attention.num_heads
    qkv = attention.qkv(tokens).reshape(len(places), 3, heads, width)
    table = attention.relative_position_bias_table
    out = torch.zeros(len(places), heads, width, dtype=tokens.dtype)
    for i, here in enumerate(places):
        for head in range(heads):
            logits = []
            for j, there in enumerate(places):
                dx, dy, dz = (a - b + side - 1 for a, b, side in zip(here, there, window, strict=True))
                row = (dx * (2 * window[1] - 1) + dy) * (2 * window[2] - 1) + dz
                logits.append((qkv[i, 0, head] * qkv[j, 1, head]).sum() / math.sqrt(width) + table[row, head])
            share = torch.stack(logits).softmax(0)
            out[i, head] = (share[:, None] * qkv[:, 2, head]).sum(0)
    return attention.proj(out.reshape(len(places), -1))


@pytest.mark.parametrize("grid", [(2, 3, 4), (3, 3, 3)])
def test_grids_smaller_than_the_window_keep_their_true_offsets(grid):
    windows = seeded(lambda: ShiftedWindows(8, 2, grid))
    assert windows.window == grid
    table = windows.layers[0].attn.relative_position_bias_table
    assert len(table) == math.prod(2 * side - 1 for side in grid)
    with torch.no_grad():
        table.normal_(std=2.0)
    tokens = torch.randn(math.prod(grid), 8, dtype=torch.float64)
    with torch.no_grad():
        expected = slow_attention(windows.layers[0].attn, tokens, grid)
        found = windows.layers[0].attn(tokens[None], None)[0]
    torch.testing.assert_close(found, expected)
