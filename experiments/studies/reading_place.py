"""What the classifier needs in order to read place: trained on the true lesion maps, beside a linear one on place.

    jsc phantom out=COHORT phantom=matched subjects=1600 spacing_mm=2 seed=2
    jsc prepare cohort=COHORT/cohort.tsv store=STORE image_size=48 preprocess/bias_field=none
    python experiments/studies/reading_place.py STORE

In `matched`, where lesion load says nothing, only place, shape and spread tell the diseases apart. Here the classifier
of the joint network (stem, full guidance, residual blocks, global average pooling) is given the *reference* in place of
a predicted lesion map, so that whatever it fails to learn is its own doing. Every line of results is a held-out AUC
after so many steps of two scans, for a learning rate, a number of patients to learn from and a way to flip them.
Writes `reading_place.json` and `reading_place.png` beside this file.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
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

from joint_seg_cls.networks import FullGuidance, NoGuidance, ResidualClassifier, SingleStem
from joint_seg_cls.scan import PreparedStore

HERE = Path(__file__).parent
HELD_OUT = 200
BATCH = 2
LOOK_EVERY = 250
#: Sides, in voxels, of the cells that place is read on by the linear classifier and the forest.
CELL = 8


@final
class Scans(NamedTuple):
    """Images, reference lesion maps and diseases of a store."""

    image: Tensor
    lesions: Tensor
    disease: Tensor

    def of(self, which: np.ndarray) -> "Scans":
        """Return some of them."""
        return Scans(*(each[torch.from_numpy(which)] for each in self))


@final
class Trial(NamedTuple):
    """What one curve differs in."""

    rate: float = 3e-4
    patients: int = 10**6
    flip: str = "left-right"
    guided: bool = True


@final
class GuidedClassifier(nn.Module):
    """The classification half of the joint network, which is told where the lesions are (or, unguided, is not)."""

    def __init__(self, channels: int, *, guided: bool) -> None:
        super().__init__()
        self.stem = SingleStem(1, channels)
        self.guidance = FullGuidance(channels, start="lesions") if guided else NoGuidance()
        self.classifier = ResidualClassifier(channels)

    def forward(self, image: Tensor, lesions: Tensor) -> Tensor:
        """Return the class scores."""
        scores = self.classifier(self.guidance(self.stem(image).classification, lesions)).disease_logits
        assert scores is not None
        return scores


def main() -> None:
    """Train every trial, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--few", type=int, default=360, help="patients of the curve that shows what few do")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the trials to run; the others are kept")
    asked = parser.parse_args()

    scans = read(asked.store)
    order = np.random.default_rng(1).permutation(len(scans.disease))
    held_out, known = scans.of(order[:HELD_OUT]), order[HELD_OUT:]
    trials = [
        Trial(),
        Trial(patients=asked.few),
        Trial(rate=1e-3),
        Trial(rate=2e-3),
        Trial(rate=1e-4),
        Trial(flip="any axis"),
        Trial(flip="none"),
        Trial(guided=False),
    ]
    path = HERE / "reading_place.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    found["references"] = {str(n): references(scans.of(known[:n]), held_out) for n in sorted({asked.few, len(known)})}
    print(json.dumps(found["references"], indent=1), flush=True)
    for number in range(len(trials)) if asked.only is None else asked.only:
        trial = trials[number]._replace(patients=min(trials[number].patients, len(known)))
        curve = []
        for point in learn(trial, scans.of(known[: trial.patients]), held_out, asked.steps, asked.channels):
            curve.append(point)
            print(told(trial), point, flush=True)
        found.setdefault("curves", {})[told(trial)] = curve
        path.write_text(json.dumps(found, indent=1))
    draw(found, HERE / "reading_place.png")


def read(store: Path) -> Scans:
    """Read a whole prepared store into memory."""
    cases = [case for case in PreparedStore(store).cases if case.lesion_mask() is not None]
    image = torch.stack([torch.from_numpy(np.array(case.image())) for case in cases]).float()
    lesions = torch.stack([torch.from_numpy(np.array(case.lesion_mask())) for case in cases])[:, None].float()
    return Scans(image, lesions, torch.tensor([int(case.disease != "MS") for case in cases]))


def learn(trial: Trial, known: Scans, held_out: Scans, steps: int, channels: int) -> Iterator[dict[str, float]]:
    """Train at a constant rate; yield the training loss and the held-out AUC every so many steps."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = GuidedClassifier(channels, guided=trial.guided)
    network.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(network.parameters(), trial.rate)
    losses: list[float] = []
    order: list[int] = []
    for step in range(1, steps + 1):
        if len(order) < BATCH:
            order = rng.permutation(len(known.disease)).tolist()
        batch = known.of(np.array([order.pop() for _ in range(BATCH)]))
        axes = {"none": (), "left-right": (2,), "any axis": (2, 3, 4)}[trial.flip]
        if axes and rng.random() < 0.5:
            axis = int(rng.choice(axes))
            batch = batch._replace(image=batch.image.flip(axis), lesions=batch.lesions.flip(axis))
        loss = nn.functional.cross_entropy(network(batch.image, batch.lesions), batch.disease)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % LOOK_EVERY == 0:
            yield {"step": step, "loss": float(np.mean(losses[-LOOK_EVERY:])), "auc": auc(network, held_out)}


@torch.no_grad()
def auc(network: nn.Module, scans: Scans) -> float:
    """Return the AUC of the second disease."""
    parts = zip(scans.image.split(8), scans.lesions.split(8), strict=True)
    scores = torch.cat([network(image, lesions).softmax(1)[:, 1] for image, lesions in parts])
    return float(roc_auc_score(scans.disease, scores))


def references(known: Scans, held_out: Scans) -> dict[str, float]:
    """Return the held-out AUC of lesion load, and of simple classifiers on the share of lesions in coarse cells."""
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


def told(trial: Trial) -> str:
    """Return a trial in words."""
    guided = "" if trial.guided else ", lesions not shown"
    return f"rate {trial.rate:g}, {trial.patients} patients, flips: {trial.flip}{guided}"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the held-out AUC and the training loss by step."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), sharex=True)
    for name, curve in found["curves"].items():
        step = [point["step"] for point in curve]
        for axis, key in zip(axes, ("auc", "loss"), strict=True):
            axis.plot(step, [point[key] for point in curve], marker=".", label=name)
    _levels(axes[0], found["references"])
    axes[0].set(xlabel="step (2 scans)", ylabel="held-out AUC", ylim=(0.4, 1))
    axes[1].set(xlabel="step (2 scans)", ylabel="training cross-entropy")
    axes[1].legend(fontsize=8, frameon=False)
    figure.suptitle("matched: the paper's classifier, shown the true lesions")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _levels(axis: plt.Axes, by_patients: dict[str, dict[str, float]]) -> None:
    """Draw what simple classifiers reach as level lines."""
    styles: Sequence[str] = (":", "--")
    for style, (patients, found) in zip(styles, by_patients.items(), strict=False):
        level = found["linear on place"]
        axis.axhline(level, color="grey", linestyle=style, linewidth=1)
        axis.text(0, level, f"linear on place, {patients} patients", fontsize=7, va="bottom", color="grey")


if __name__ == "__main__":
    main()
