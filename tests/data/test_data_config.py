"""The data and protocol options build their objects."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from monai.transforms import Compose

from joint_seg_cls.data import Folds, JointDataModule, RandFlipRotated

CONF = Path(__file__).parents[2] / "conf"


def composed(store, *overrides: str):
    with initialize_config_dir(str(CONF), version_base=None):
        return compose(overrides=["+fold=2", "+seed=7", "+data=joint", *overrides, f"data.store={store.path}"])


@pytest.mark.parametrize(
    ("protocol", "kind", "validation"), [("paper", Folds("random", 5, 0), 0), ("strict", Folds("strict", 5, 0), 4)]
)
def test_a_protocol_decides_the_folds(store, protocol, kind, validation):
    data = instantiate(composed(store, f"+protocol={protocol}").data)
    assert isinstance(data, JointDataModule)
    assert (data.fold, data.seed, data.batch_size, data.folds) == (2, 7, 2, kind)
    assert len(data.split.validation) == validation
    assert len(data.split.train) + validation + len(data.split.test) == 21


@pytest.mark.parametrize(("name", "draws"), [("paper", (0.5, 0.5, 15.0)), ("flip", (0.5, 0.0, 0.0)), ("none", None)])
def test_every_augmentation_option_can_be_trained_with(store, name, draws):
    config = composed(store, "+protocol=strict", f"data/augmentation={name}", "data.workers=0")
    data = instantiate(config.data, _convert_="all")
    augmentation = data.augmentation
    if draws is None:
        assert isinstance(augmentation, Compose)
        assert augmentation.transforms == ()
    else:
        assert isinstance(augmentation, RandFlipRotated)
        assert (
            augmentation.flip_probability,
            augmentation.rotation_probability,
            augmentation.rotation_degrees,
        ) == draws
    assert sum(len(batch.case) for batch in data.train_dataloader()) == len(data.split.train)
