"""Make the weights that are installed with the program: simulated scenes, two trainings, the decision, the release.

    python experiments/real_scans/pretrain.py --labels LABELS --shapes SHAPES --work WORK [--epochs PATCHES WHOLE]

LABELS is a folder of label maps with FreeSurfer's numbers, SHAPES a file of real lesion shapes (see `jsc phantom
--help`). All files are written to WORK. To continue after an interruption, repeat the command.

The first training uses patches, the second whole images (none with WHOLE=0). With --classifier the second also
learns the diagnosis. The threshold and the least volume of a lesion are chosen on simulated images of the validation
scenes. No real scan is used.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from joint_seg_cls.atomic_write import atomic_file
from joint_seg_cls.data import read_frozen
from joint_seg_cls.inference import Predictor
from joint_seg_cls.inference.familiarity import quantiles_of
from joint_seg_cls.lesions import without_small
from joint_seg_cls.metrics import dice
from joint_seg_cls.phantom.appearance import draw_appearance, ventricular_extent
from joint_seg_cls.phantom.random_appearance import RandomAppearance
from joint_seg_cls.phantom.scene import Scene
from joint_seg_cls.phantom.tissue import Tissue
from joint_seg_cls.runs.load import load_predictor
from joint_seg_cls.scan import PreparedStore
from joint_seg_cls.training import read_archive, release, shipped_path

Window = list[int]

WINDOW: Window = [80, 80, 80]
SPACING_MM = 1.5
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(2, 20))
LEAST_MM3 = (0.0, 7.0, 14.0, 21.0)
DRAWS = 4


def main() -> None:
    """Go through every step."""
    words = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    words.add_argument("--labels", required=True, type=Path)
    words.add_argument("--shapes", required=True, type=Path)
    words.add_argument("--work", required=True, type=Path)
    words.add_argument("--subjects", type=int, default=600)
    words.add_argument("--epochs", nargs=2, type=int, default=(60, 60), metavar=("PATCHES", "WHOLE"))
    words.add_argument("--classifier", action="store_true", help="train and ship a classifier, too")
    asked = words.parse_args()
    scenes, runs = asked.work / "scenes", asked.work / "runs"
    jsc("phantom", "phantom=randomised", f"store={scenes}", f"subjects={asked.subjects}", "seed=1",
        "anatomy=label_maps", f"path={asked.labels}", f"shapes={asked.shapes}")  # fmt: skip
    common = (f"data.store={scenes}", "fold=0", f"runs={runs}")
    patches, whole = asked.epochs
    jsc("train", "experiment=pretrain", *common, "collection=patches", f"trainer.max_epochs={patches}")
    first = next(runs.glob("patches/*/fold-0_seed-0"))
    last = first
    if whole:
        second = "pretrain_joint" if asked.classifier else "pretrain_whole"
        jsc("train", f"experiment={second}", *common, "collection=whole", f"init_from={first}",
            f"trainer.max_epochs={whole}")  # fmt: skip
        last = next(runs.glob("whole/*/fold-0_seed-0"))
    content = read_archive(last / "checkpoints" / "last.ckpt")
    ship(content, scenes, shipped_path(), None if whole else WINDOW)


def jsc(*words: str) -> None:
    """Run a command of the program."""
    subprocess.run([sys.executable, "-m", "joint_seg_cls", *words], check=True)


def ship(content: Mapping[str, Any], scenes: Path, out: Path, window: Window | None) -> None:
    """Choose the decision on simulated validation images, and write the weights in half precision."""
    candidate = scenes.parent / "candidate.ckpt"
    torch.save(release(content, candidate, {}), candidate)
    decision = choose(candidate, scenes, window) | {
        "intensities": intensities(scenes),
        "ranges": {},
        "lesion_free": [],
    }
    with atomic_file(out) as partial:
        torch.save(release(content, candidate, decision), partial)
    print(json.dumps({**decision, "bytes": out.stat().st_size}, indent=1))


@final
@dataclass(frozen=True)
class Drawn:
    """A simulated image with its lesions."""

    image: np.ndarray
    lesions: np.ndarray


def choose(checkpoint: Path, scenes: Path, window: Window | None) -> dict[str, Any]:
    """Return the threshold and least volume with the best mean DSC over simulated validation images."""
    predictor, _ = load_predictor(checkpoint, device="cpu", views="flips")
    predictor.window = window
    images = list(draw_validation(scenes))
    scores = np.mean([scores_of(predictor, drawn) for drawn in images], axis=0)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    found = {"lesion_threshold": THRESHOLDS[row], "least_lesion_mm3": LEAST_MM3[column]}
    print(f"best mean DSC {scores.max():.3f} on {len(images)} simulated images, {found}")
    return {**found, "window": window, "views": "flips"}


def intensities(scenes: Path) -> dict[str, tuple[float, float]]:
    """Return the range of each intensity quantile of brain and fluid over images of every fourth scene.

    The lowest and the highest tenth are left out, because some images have the contrast of no FLAIR: a T1 should get a
    warning.
    """
    measured = []
    for number, case in enumerate(PreparedStore(scenes).cases[::4]):
        labels = case.labels()
        scene = Scene(labels["tissue"], labels["lesions"], SPACING_MM)
        drawn = draw_appearance(scene, ventricular_extent(scene), np.random.default_rng(number))
        inside = np.where(scene.tissue < Tissue.OUTSIDE, drawn.image / drawn.white, 0)
        measured.append(quantiles_of(inside[None]))
    table = np.array([list(each.values()) for each in measured])
    ends = np.quantile(table, [0.1, 0.9], axis=0).T
    return {name: (float(low), float(high)) for name, (low, high) in zip(measured[0], ends, strict=True)}


def draw_validation(scenes: Path) -> Iterator[Drawn]:
    """Yield images of the validation scenes of fold 0, several of each; those without lesions are left out."""
    store = PreparedStore(scenes)
    (folds,) = (scenes / "splits").glob("*.json")
    names = read_frozen(folds, store).splits[0].validation
    draw = RandomAppearance(SPACING_MM)
    draw.set_random_state(seed=0)
    for case in (case for case in store.cases if case.case in names):
        labels: dict[Hashable, torch.Tensor] = {
            name: torch.from_numpy(values)[None] for name, values in case.labels().items()
        }
        for _ in range(DRAWS):
            drawn = draw(labels)
            lesions = drawn["lesion_mask"][0].numpy() > 0
            if lesions.any():
                yield Drawn(drawn["image"].numpy(), lesions)


def scores_of(predictor: Predictor, drawn: Drawn) -> np.ndarray:
    """Return the DSC at each threshold (row) and least volume (column)."""
    probability = predictor(drawn.image).lesion_probability
    assert probability is not None
    return np.array(
        [
            [dice(without_small(probability >= level, least / SPACING_MM**3), drawn.lesions) for least in LEAST_MM3]
            for level in THRESHOLDS
        ]
    )


if __name__ == "__main__":
    main()
