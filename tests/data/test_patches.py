"""Random patches: inside the image, on lesions as often as asked, the same for all entries."""

import pytest
import torch

from joint_seg_cls.data import PatchChoice, RandPatchd
from joint_seg_cls.data.draws import random_state
from joint_seg_cls.errors import ConfigError


def scan() -> dict:
    image = torch.zeros(1, 64, 48, 40)
    image[:, 4:60, 4:44, 2:38] = 1 + torch.arange(56 * 40 * 36).reshape(1, 56, 40, 36)
    mask = torch.zeros(1, 64, 48, 40)
    mask[:, 50, 40, 5] = 1
    return {"image": image, "lesion_mask": mask}


def test_patches_contain_a_lesion_voxel_as_often_as_asked_and_differ():
    transform, data = RandPatchd([16, 16, 16], on_lesion=0.5), scan()
    patches = [transform.apply(data, transform.draw(random_state("patch", number))) for number in range(400)]
    assert all(patch["image"].shape == patch["lesion_mask"].shape == (1, 16, 16, 16) for patch in patches)
    on_lesion = sum(bool(patch["lesion_mask"].any()) for patch in patches)
    assert 0.43 < on_lesion / 400 < 0.65  # some of the others contain it by chance
    assert len({float(patch["image"].sum()) for patch in patches}) > 150
    for patch in patches:
        if patch["lesion_mask"].any():
            assert patch["image"][patch["lesion_mask"] > 0].item() == data["image"][0, 50, 40, 5]


def test_a_scan_smaller_than_the_patch_without_lesions_or_without_a_mask_has_patches():
    transform, data = RandPatchd([80, 32, 32]), scan()
    del data["lesion_mask"]
    assert transform.apply(data, transform.draw(random_state(0)))["image"].shape == (1, 64, 32, 32)
    assert RandPatchd(None)(data)["image"].shape == (1, 64, 48, 40)
    empty = {"image": torch.zeros(2, 32, 32, 32), "lesion_mask": torch.zeros(1, 32, 32, 32)}
    assert RandPatchd([16, 16, 16])(empty)["image"].shape == (2, 16, 16, 16)


@pytest.mark.parametrize("on_lesion", [0.0, 1.0])
def test_each_filled_voxel_is_as_likely_in_the_first_and_in_later_patches_of_a_case(on_lesion):
    data = scan() | {"folder": "store/case"}
    data["image"] = torch.cat([torch.zeros_like(data["image"]), data["image"]])
    data["lesion_mask"][:, 7, 1:3, 30:] = 1
    filled = torch.nonzero(data["lesion_mask" if on_lesion else "image"].any(dim=0)).tolist()  # in order of x, y, z
    transform = RandPatchd([16, 16, 16], on_lesion)
    for place in (0.0, 0.3, 0.5, 0.999999):
        drawn = PatchChoice(on_lesion > 0, place, (0.0, 0.0, 0.0))
        starts = [min(at, side - 16) for at, side in zip(filled[int(place * len(filled))], (64, 48, 40), strict=True)]
        x, y, z = (slice(start, start + 16) for start in starts)
        assert torch.equal(transform.apply(data, drawn)["image"], data["image"][:, x, y, z])
    other = scan() | {"folder": "store/other"}
    other["image"][:, :40] = 0
    assert transform.apply(other, PatchChoice(False, 0.0, (0.0,) * 3))["image"].any()


def test_a_patch_shares_no_memory_with_the_scan():
    data = scan() | {"folder": "store/case"}
    patch = RandPatchd([16, 16, 16])(data)
    assert patch["folder"] == "store/case"
    before = data["image"].clone()
    patch["image"].fill_(-1)
    assert torch.equal(data["image"], before)


@pytest.mark.parametrize("size", [[80, 80], [80, 80, 81], [0, 80, 80]])
def test_a_patch_that_the_network_cannot_halve_is_refused(size):
    with pytest.raises(ConfigError, match="divisible by 16"):
        RandPatchd(size)
