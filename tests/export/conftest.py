"""Three diseases in two modalities: the smallest cohort that takes every command through them."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

SHAPE = (26, 28, 24)
AFFINE = np.array([[-1.1, 0.1, 0, 40], [0.1, -1.2, 0.2, 50], [0, 0.2, 1.4, -30], [0, 0, 0, 1]])
CLASSES = ("MS", "NMOSD", "control")
#: What a site wants to keep to itself: names of a folder, of a person, in a header.
MARKERS = ("zebrafolder", "okapiperson", "gnunameinheader", "kuduclinic")

#: A fresh interpreter in which this program and what only it needs cannot be imported.
ALONE = """
import sys
from importlib.abc import MetaPathFinder
class Block(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("joint_seg_cls", "hydra", "omegaconf", "lightning", "torchmetrics", "wandb"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
try:
    import joint_seg_cls
except ImportError:
    pass
else:
    raise AssertionError("the program is not blocked")
import json
from monai.bundle import run, verify_net_in_out
work = json.loads(sys.argv[1])
files = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
if work.pop("verify", False):
    verify_net_in_out(net_id="network_def", device="cpu", **files)
code = 0
try:
    run(**files, **work)
except SystemExit as stop:
    code = stop.code
assert not any(name.partition(".")[0] == "joint_seg_cls" for name in sys.modules)
sys.exit(code)
"""


@pytest.fixture(scope="session")
def alone():
    """Return a function that runs a bundle in an interpreter without this program."""

    def run(bundle, **work):
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        words = [sys.executable, "-W", "ignore", "-c", ALONE, json.dumps(work)]
        return subprocess.run(words, cwd=bundle, env=env, capture_output=True, text=True, check=False)

    return run


def write_cohort(folder, subjects=12):
    """Write stripped FLAIR and T1 on grids of their own; MS lesions lie low, NMOSD's high, controls have none."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    brain = (((index - [13, 14, 12]) / [10, 11, 9]) ** 2).sum(axis=-1) < 1
    turned = np.diag([1.3, 1.3, 1.3, 1.0])
    turned[:3, 3] = AFFINE[:3, :3] @ [13, 14, 12] + AFFINE[:3, 3] - 1.3 * 16
    lines = ["subject\tflair\tt1\tlesion_mask\tdisease\tsex\tsite"]
    for number in range(subjects):
        rng, disease = np.random.default_rng(number), CLASSES[number % 3]
        lesion = np.zeros(SHAPE, bool)
        if disease != "control":
            lesion = (np.abs(index - [13, 13 + number % 2, 8 if disease == "MS" else 16]) < 3).all(-1)
        volumes = {
            "flair": (np.where(brain, rng.normal(100, 5, SHAPE) + 40 * lesion, 0).astype(np.float32), AFFINE),
            "t1": (rng.normal(50, 9, (32, 32, 32)).astype(np.float32), turned),
            "lesion": (lesion.astype(np.uint8), AFFINE),
        }
        for name, (data, affine) in volumes.items():
            image = nib.Nifti1Image(data, affine)
            image.header["descrip"] = b"gnunameinheader"
            nib.save(image, folder / f"okapiperson{number}_{name}.nii.gz")
        files = "\t".join(f"okapiperson{number}_{name}.nii.gz" for name in volumes)
        lines.append(f"okapiperson{number}\t{files}\t{disease}\t{'MF'[number % 2]}\tkuduclinic{number // 6}")
    (folder / "cohort.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="package")
def site(tmp_path_factory):
    """The folder of a site with the cohort, its store and a run of one epoch."""
    from joint_seg_cls.cli.main import main

    folder = tmp_path_factory.mktemp("zebrafolder")
    write_cohort(folder)
    main(["prepare", f"cohort={folder}/cohort.tsv", f"store={folder}/store", "image_size=16", "workers=0",
          f"classes=[{','.join(CLASSES)}]", "modalities=[flair,t1]", "preprocess/brain=none",
          "preprocess/bias_field=none"])  # fmt: skip
    main(["train", f"data.store={folder}/store", f"runs={folder}/runs", "fold=0", "network.channels=4",
          "data.folds.count=2", "data.validation_fraction=0.25", "data.workers=0", "trainer.max_epochs=1",
          "trainer.accelerator=cpu", "tracking=none", "study=three"])  # fmt: skip
    return folder


@pytest.fixture(scope="package")
def run(site):
    return next(site.glob("runs/store/*/fold-0_seed-0"))


@pytest.fixture(scope="package")
def bundle(site, run):
    """The bundle of the run."""
    from joint_seg_cls.cli.main import main

    main(["export", f"run={run}", f"out={site.parent / 'bundle'}"])
    return site.parent / "bundle"
