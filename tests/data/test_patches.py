"""Random patches: inside the image, on lesions as often as asked, the same for all entries."""

import pytest
import torch

from joint_seg_cls.data import RandPatchd
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


@pytest.mark.parametrize("size", [[80, 80], [80, 80, 81], [0, 80, 80]])
def test_a_patch_that_the_network_cannot_halve_is_refused(size):
    with pytest.raises(ConfigError, match="divisible by 16"):
        RandPatchd(size)
