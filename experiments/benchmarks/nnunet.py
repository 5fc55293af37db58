"""Preprocessing and patch loading beside nnU-Net's own, on the same simulated cohort.

    pip install nnunetv2  # not a dependency of this program; without it, the script measures nothing
    python experiments/benchmarks/nnunet.py [--quick]

Preprocessing: stripped scans of 1 mm, one process each. nnU-Net extracts the fingerprint, plans, and then crops,
normalises and resamples; ours crops, resamples and normalises, checks the scans, and writes quality table and
checksums. Neither removes the skull or corrects the field.
Loading: patches of 64^3, batches of 2, one process, no workers. First with patches alone (ours mirrors them, too), then
with the default augmentation for patches of each: nnU-Net's is larger (rotation, scaling, noise, blur, contrast, low
resolution, gamma, mirrors), so that ratio compares defaults, not equal work.
"""

# pyright: reportMissingImports=false

import argparse
import contextlib
import importlib.util
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before the imports that read it

from circumstances import circumstances, write  # experiments/benchmarks/circumstances.py

from joint_seg_cls.cli.main import main as jsc
from joint_seg_cls.scan import read_cohort

PATCH = (64, 64, 64)
BATCH_SIZE = 2
NAME = "Dataset001_lesions"


def write_raw(cohort: Path, raw: Path) -> int:
    """Copy a cohort into nnU-Net's raw format; return the number of scans."""
    rows = read_cohort(cohort)
    images, labels = raw / NAME / "imagesTr", raw / NAME / "labelsTr"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for row in rows:
        assert row.lesion_masks
        shutil.copy(row.images[0], images / f"{row.case}_0000.nii.gz")
        shutil.copy(row.lesion_masks[0], labels / f"{row.case}.nii.gz")
    record = {
        "channel_names": {"0": "FLAIR"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(rows),
        "file_ending": ".nii.gz",
    }
    (raw / NAME / "dataset.json").write_text(json.dumps(record), encoding="utf-8")
    return len(rows)


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of ``work``, without what it prints."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - start


def nnunet_preprocess() -> None:
    """Run nnU-Net's three steps with one process."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprints([1], num_processes=1)
    api.plan_experiments([1])
    api.preprocess([1], configurations=["3d_fullres"], num_processes=[1])


def nnunet_batches(preprocessed: Path, *, augmented: bool) -> Callable[[], object]:
    """Return a function that gives nnU-Net's next batch."""
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(str(preprocessed / NAME / "nnUNetPlans.json"))
    folder = str(preprocessed / NAME / plans.get_configuration("3d_fullres").data_identifier)
    record = json.loads((preprocessed / NAME / "dataset.json").read_text(encoding="utf-8"))
    turn = (-0.523, 0.523)  # 30 degrees, nnU-Net's default for such patches
    transforms = nnUNetTrainer.get_training_transforms(PATCH, turn, None, (0, 1, 2), False, use_mask_for_norm=[True])
    loader = nnUNetDataLoader(
        infer_dataset_class(folder)(folder),
        BATCH_SIZE,
        get_patch_size(PATCH, turn, turn, turn, (0.85, 1.25)) if augmented else PATCH,
        PATCH,
        plans.get_label_manager(record),
        oversample_foreground_percent=0.5,
        transforms=transforms if augmented else None,
    )
    return lambda: next(loader)


def our_batches(store: Path, *, augmented: bool) -> Callable[[], object]:
    """Return a function that gives our next batch."""
    from monai.transforms import Compose, RandAdjustContrastd, RandFlipd, RandScaleIntensityd

    from joint_seg_cls.data import Folds, JointDataModule, RandPatchd

    keys = ["image", "lesion_mask"]
    steps: Any = [RandPatchd(PATCH, 0.5), RandFlipd(keys, prob=0.5, spatial_axis=0, allow_missing_keys=True)]
    if augmented:  # conf/data/augmentation/patches.yaml
        steps += [RandScaleIntensityd(["image"], 0.1, prob=0.5), RandAdjustContrastd(["image"], 0.3, (0.8, 1.25))]
    transform: Any = Compose(steps)
    module = JointDataModule(store, folds=Folds("random", 2), augmentation=transform, batch_size=BATCH_SIZE, workers=0)

    def endless() -> Any:
        while True:
            yield from module.train_dataloader()

    batches = endless()
    return lambda: next(batches)


def main() -> None:
    """Measure, print, and write the result unless ``--quick``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="quick check: two scans, few batches, nothing written")
    quick = parser.parse_args().quick
    if importlib.util.find_spec("nnunetv2") is None:
        print("nnunetv2 is not installed: nothing is measured")
        return
    subjects, batches, repeats = (4, 4, 1) if quick else (8, 40, 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            (folder / variable).mkdir()
            os.environ[variable] = str(folder / variable)
        spacing = 2 if quick else 1
        if jsc(["phantom", f"out={folder / 'cohort'}", f"subjects={subjects}", f"spacing_mm={spacing}", "workers=0"]):
            sys.exit("the cohort could not be simulated")
        table, store = folder / "cohort" / "cohort.tsv", folder / "store"
        scans = write_raw(table, folder / "nnUNet_raw")
        began = circumstances("nnunetv2", "batchgeneratorsv2", "numpy")
        size = [192 // spacing, 224 // spacing, 192 // spacing]
        grid = ["preprocess/layout=isotropic_pad", f"preprocess.layout.spacing_mm={spacing}", f"image_size={size}"]
        words = ["prepare", f"cohort={table}", f"store={store}", "preprocess/bias_field=none", "workers=0", *grid]
        prepared = {"nnU-Net": seconds(nnunet_preprocess) / scans, "ours": seconds(lambda: jsc(words)) / scans}
        print(f"preprocessing, s a scan: {prepared}; ours / nnU-Net {prepared['ours'] / prepared['nnU-Net']:.2f}")
        loading: dict[str, dict[str, float]] = {}
        for augmented in (False, True):
            nexts = {
                "nnU-Net": nnunet_batches(folder / "nnUNet_preprocessed", augmented=augmented),
                "ours": our_batches(store, augmented=augmented),
            }
            taken: dict[str, list[float]] = {who: [] for who in nexts}
            for repeat in range(repeats + 1):
                for who, one in nexts.items():
                    passed = seconds(lambda one=one: [one() for _ in range(batches)])
                    if repeat:
                        taken[who].append(1e3 * passed / batches / BATCH_SIZE)
            middle = {who: statistics.median(each) for who, each in taken.items()}
            kind = "default augmentation" if augmented else "patches alone"
            loading[kind] = middle
            print(f"{kind}, ms a patch: {middle}; ours / nnU-Net {middle['ours'] / middle['nnU-Net']:.2f}")
    if not quick:
        setting = {"scans": scans, "patch": PATCH, "batch_size": BATCH_SIZE, "batches": batches, "repeats": repeats}
        write("nnunet", began, {"setting": setting, "preprocessing_s": prepared, "loading_ms": loading})


if __name__ == "__main__":
    main()
