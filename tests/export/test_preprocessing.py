"""Brain extraction, N4, rigid registration and the tissue mode run from a bundle as in `jsc predict`."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from joint_seg_cls.training import amend_recipe, read_checkpoint

CONF = Path(__file__).parents[2] / "conf" / "preprocess"


def step(name):
    return {
        key: value for key, value in yaml.safe_load((CONF / f"{name}.yaml").read_text()).items() if key != "defaults"
    }


@pytest.fixture(scope="module")
def weights(run, tmp_path_factory):
    """Weights whose scans are prepared with every step that computes."""
    path = tmp_path_factory.mktemp("weights") / "steps.ckpt"
    checkpoint = read_checkpoint(run)
    path.write_bytes(checkpoint.path.read_bytes())
    steps = {
        "brain": step("brain/bet"),
        "bias_field": step("bias_field/n4"),
        "registration": step("registration/rigid"),
        "intensity": step("intensity/tissue_mode"),
    }
    amend_recipe(path, {"preprocess": {**checkpoint.recipe.preprocess, **steps}})
    return path


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A simulated head with its skull, and another image of it, whose header says that it moved."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("head")
    main(["phantom", f"out={folder}/cohort", "subjects=1", "spacing_mm=2", "workers=0", "skull=shell", "seed=5"])
    first = next(folder.glob("cohort/*/*/*flair.nii.gz"))
    scan = nib.load(first)
    moved = scan.affine.copy()
    moved[:3, 3] += (4.0, -3.0, 2.0)
    second = folder / "t1.nii.gz"
    nib.save(nib.Nifti1Image(np.sqrt(np.maximum(scan.get_fdata(dtype=np.float32), 0)), moved), second)
    return [str(first), str(second)]


@pytest.mark.slow
def test_every_step_of_the_preprocessing_gives_the_numbers_of_the_program(weights, head, alone, jsc, tmp_path):
    code, _, err = jsc("predict", f"input=[{','.join(head)}]", f"checkpoint={weights}", f"out={tmp_path}/ours",
                       "device=cpu", "page=false")  # fmt: skip
    assert code == 0, err
    code, _, err = jsc("export", f"checkpoint={weights}", f"out={tmp_path}/bundle")
    assert code == 0, err
    assert "not reproduced" not in err
    done = alone(tmp_path / "bundle", image=[head], output_dir=str(tmp_path / "theirs"), device="cpu")
    assert done.returncode == 0, done.stderr
    (name,) = (path.stem for path in (tmp_path / "theirs").glob("*.json"))
    for end in ("lesions", "lesion-probability", "location-map"):
        own, other = (nib.load(tmp_path / folder / f"{name}_{end}.nii.gz") for folder in ("ours", "theirs"))
        np.testing.assert_allclose(other.get_fdata(), own.get_fdata(), atol=1e-5)
        np.testing.assert_array_equal(other.affine, own.affine)
    own, other = (json.loads((tmp_path / folder / f"{name}.json").read_text()) for folder in ("ours", "theirs"))
    assert own["preprocessing"]["brain_how"] == "bet"
    assert own["preprocessing"]["modalities"][1]["shift_mm"] > 3
    assert other["brain_volume_ml"] == own["brain_volume_ml"]
    assert other["disease_probability"] == pytest.approx(own["disease_probability"], abs=1e-6)
