"""Lightning's validation and test of a module log the same numbers under ``val/`` and ``test/``."""

import pytest
import torch
from lightning import Trainer

from joint_seg_cls.batch import Batch, Prediction
from joint_seg_cls.training import JointModule


class Bright(torch.nn.Module):
    """Segments bright voxels, and predicts the first class."""

    def forward(self, image):
        return Prediction(lesion_logits=image[:, :1] - 0.5, disease_logits=torch.tensor([[1.0, 0.0]] * len(image)))


class Losses(torch.nn.Module):
    def forward(self, prediction, batch):
        return {"segmentation": prediction.lesion_logits.max(), "total": batch.image.max()}


def scan(image, mask, disease):
    return Batch(
        image=torch.tensor(image).reshape(1, 1, 3, 1, 1),
        lesion_mask=torch.tensor(mask or [0.0] * 3).reshape(1, 1, 3, 1, 1),
        disease=torch.tensor([disease]),
        has_lesion_mask=torch.tensor([mask is not None]),
        has_disease=torch.tensor([True]),
        case=["s"],
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_validation_and_test_log_the_same_numbers(tmp_path):
    recipe = {"lesion_threshold": 0.5, "classes": ["MS", "NMOSD"]}
    module = JointModule(Bright(), Losses(), torch.optim.Adam, None, "val/dice", recipe)
    scans = [scan([1.0, 1.0, 0.0], [1.0, 0.0, 0.0], 0), scan([4.0, 0.0, 0.0], None, 1)]
    data = torch.utils.data.DataLoader(scans, batch_size=None)
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_progress_bar=False)
    (validated,) = trainer.validate(module, data, verbose=False)
    (tested,) = trainer.test(module, data, verbose=False)
    expected = {"loss/segmentation": 0.5, "loss/total": 2.5, "dice": 2 / 3, "acc": 0.5, "auc": 0.5}
    expected["score"] = (2 / 3 + 0.5) / 2
    assert validated == pytest.approx({f"val/{name}": value for name, value in expected.items()})
    assert tested == pytest.approx({f"test/{name}": value for name, value in expected.items()})
