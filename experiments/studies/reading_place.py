"""What the classifier needs to learn lesion location: training on true lesion maps, and linear classifiers.

    jsc phantom out=COHORT phantom=matched subjects=1600 spacing_mm=2 seed=2
    jsc prepare cohort=COHORT/cohort.tsv store=STORE image_size=48 preprocess/bias_field=none
    python experiments/studies/reading_place.py STORE; then once more for another store, with more or fewer patients

In `matched`, where lesion load is uninformative, only location, shape and spread separate the diseases. Here the
classifier of the joint network (stem, full guidance, residual blocks, global average pooling) receives the *reference*
instead of a predicted lesion map, so that errors come from the classifier. Every curve is the AUC of
120 held-out patients by number of training scans, for a learning rate, a number of training patients, a flip, a
width and a share of the global branch in the classifier's features.
Writes `reading_place.json` and `reading_place.png` beside this file.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from joint_seg_cls.networks import CrossoverSharing, FullGuidance, ResidualClassifier, SingleStem
from joint_seg_cls.scan import PreparedStore

RESULTS = Path(__file__).with_suffix(".json")
HELD_OUT = 120
LOOK_EVERY = 250
#: Cell sizes, in voxels, for the linear classifier and the forest.
CELL = 8


@final
class Scans(NamedTuple):
    """Images, reference lesion maps and diseases of a store."""

    image: Tensor
    lesions: Tensor
    disease: Tensor

    def of(self, which: np.ndarray) -> "Scans":
        """Return a subset."""
        return Scans(*(each[torch.from_numpy(which)] for each in self))


@final
class Trial(NamedTuple):
    """Settings of one curve."""

    rate: float = 3e-4
    batch: int = 2
    flip: str = "left-right"
    channels: int = 8
    global_share: float | None = None  # initial; None: one convolution instead of both branches


TRIALS = (
    Trial(),
    Trial(rate=1e-4),
    Trial(rate=1e-3),
    Trial(rate=1e-3, batch=4),
    Trial(rate=1e-3, batch=8),
    Trial(flip="any axis"),
    Trial(flip="none"),
    Trial(channels=16),
    Trial(global_share=0.1),
    Trial(global_share=0.9),
)
_AXES: dict[str, tuple[int, ...]] = {"none": (), "left-right": (2,), "any axis": (2, 3, 4)}


@final
class GuidedClassifier(nn.Module):
    """The classification part of the joint network, with the reference lesion map as input."""

    def __init__(self, channels: int, size: int, global_share: float | None) -> None:
        super().__init__()
        self.sharing = (
            SingleStem(1, channels)
            if global_share is None
            else CrossoverSharing(1, channels, size, classification_local=1 - global_share)
        )
        self.guidance = FullGuidance(channels, start="lesions")
        self.classifier = ResidualClassifier(channels)

    def forward(self, image: Tensor, lesions: Tensor) -> Tensor:
        """Return the class scores."""
        scores = self.classifier(self.guidance(self.sharing(image).classification, lesions)).disease_logits
        assert scores is not None
        return scores


def main() -> None:
    """Train every trial, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=1750)
    parser.add_argument("--trials", type=int, nargs="*", default=range(len(TRIALS)), help="numbers of trials to run")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # allows two runs side by side, with reproducible results

    scans = read(asked.store)
    order = np.random.default_rng(1).permutation(len(scans.disease))
    held_out, known = scans.of(order[:HELD_OUT]), scans.of(order[HELD_OUT:])
    patients = len(known.disease)
    save("simple classifiers", f"{patients} patients", references(known, held_out))
    for number in asked.trials:
        curve = []
        for point in learn(TRIALS[number], known, held_out, asked.steps):
            curve.append(point)
            print(label_of(TRIALS[number], patients), point, flush=True)
            save("curves", label_of(TRIALS[number], patients), curve)
    draw(json.loads(RESULTS.read_text()), RESULTS.with_suffix(".png"))


def save(part: str, name: str, value: Any) -> None:
    """Add one result to the existing ones."""
    found: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    found.setdefault(part, {})[name] = value
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def read(store: Path) -> Scans:
    """Read a whole prepared store into memory."""
    cases = [case for case in PreparedStore(store).cases if case.lesion_mask() is not None]
    image = torch.stack([torch.from_numpy(np.array(case.image())) for case in cases]).float()
    lesions = torch.stack([torch.from_numpy(np.array(case.lesion_mask())) for case in cases])[:, None].float()
    return Scans(image, lesions, torch.tensor([int(case.disease != "MS") for case in cases]))


def learn(trial: Trial, known: Scans, held_out: Scans, steps: int) -> Iterator[dict[str, float]]:
    """Train at a constant rate; yield the training loss and the held-out AUC at regular intervals."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network: Any = GuidedClassifier(trial.channels, known.image.shape[-1], trial.global_share)
    network.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(network.parameters(), trial.rate)
    losses: list[float] = []
    order: list[int] = []
    axes = _AXES[trial.flip]
    for step in range(1, steps + 1):
        if len(order) < trial.batch:
            order = rng.permutation(len(known.disease)).tolist()
        batch = known.of(np.array([order.pop() for _ in range(trial.batch)]))
        if axes and rng.random() < 0.5:
            axis = axes[rng.integers(len(axes))]
            batch = batch._replace(image=batch.image.flip(axis), lesions=batch.lesions.flip(axis))
        loss = nn.functional.cross_entropy(network(batch.image, batch.lesions), batch.disease)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % LOOK_EVERY == 0:
            loss_since = round(float(np.mean(losses[-LOOK_EVERY:])), 3)
            yield {"scans": step * trial.batch, "loss": loss_since, "auc": round(auc(network, held_out), 3)}


@torch.no_grad()
def auc(network: nn.Module, scans: Scans) -> float:
    """Return the AUC of the second disease."""
    parts = zip(scans.image.split(8), scans.lesions.split(8), strict=True)
    scores = torch.cat([network(image, lesions).softmax(1)[:, 1] for image, lesions in parts])
    return float(roc_auc_score(scans.disease, scores))


def references(known: Scans, held_out: Scans) -> dict[str, float]:
    """Return the held-out AUC of lesion load, and of simple classifiers on the lesion fraction in coarse cells."""
    models = {
        "linear on place": make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000)),
        "forest on place": RandomForestClassifier(400, min_samples_leaf=2, random_state=0),
    }
    place, own = place_of(known.lesions), place_of(held_out.lesions)
    found = {
        name: float(roc_auc_score(held_out.disease, model.fit(place, known.disease.numpy()).predict_proba(own)[:, 1]))
        for name, model in models.items()
    }
    load = roc_auc_score(held_out.disease, -held_out.lesions.flatten(1).sum(1))
    return found | {"lesion load": float(max(load, 1 - load))}


def place_of(lesions: Tensor) -> np.ndarray:
    """Return the square root of the lesion volume in each cell of a coarse grid."""
    return nn.functional.avg_pool3d(lesions, CELL).flatten(1).sqrt().numpy()


def label_of(trial: Trial, patients: int) -> str:
    """Return the label of a trial."""
    words = f"{patients} patients, rate {trial.rate:g}, {trial.batch} scans a step, flips: {trial.flip}"
    if trial.channels != Trial().channels:
        words += f", {trial.channels} channels"
    return words if trial.global_share is None else f"{words}, global branch {trial.global_share:g}"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the held-out AUC and the training loss by the number of scans seen, a row for each number of patients."""
    figure, rows = plt.subplots(len(found["simple classifiers"]), 2, figsize=(12, 9), squeeze=False)
    for axes, (patients, reached) in zip(rows, found["simple classifiers"].items(), strict=True):
        curves = {name: curve for name, curve in found["curves"].items() if name.startswith(f"{patients}, ")}
        for name, curve in curves.items():
            seen = [point["scans"] for point in curve]
            for axis, key in zip(axes, ("auc", "loss"), strict=True):
                axis.plot(seen, [point[key] for point in curve], marker=".", label=name.removeprefix(f"{patients}, "))
        level = reached["linear on place"]
        axes[0].axhline(level, color="grey", linestyle=":", linewidth=1)
        place = {"transform": axes[0].get_yaxis_transform(), "va": "bottom", "fontsize": 7, "color": "grey"}
        axes[0].text(0.02, level, "linear on place", **place)
        axes[0].set(xlabel="scans seen", ylabel=f"held-out AUC, {patients}", ylim=(0.35, 1))
        axes[1].set(xlabel="scans seen", ylabel="training cross-entropy")
        axes[1].legend(fontsize=7, frameon=False)
    figure.suptitle("Cohort matched: the paper's classifier, shown the true lesions")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
