"""Measure the simulated cohorts: what can be known from the lesions, and that nothing else tells the diseases apart.

Example: python experiments/phantom/report.py --subjects 400 --density real_density.nii.gz
"""

import argparse
import json
import sys
import time
from pathlib import Path

import draw
import measure
import nibabel as nib
import numpy as np
import oracle
import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy import ndimage
from text import as_markdown

from joint_seg_cls.phantom import Cohort, simulate_lesions
from joint_seg_cls.scan import DISEASES
from joint_seg_cls.scan.template import load_template

HERE = Path(__file__).parent
COHORTS = ("clear", "matched", "lifelike")
LOAD = ["f:log_count", "f:log_volume_ml"]
#: What might give the disease away without any lesion, and the columns that hold it.
SHARED_SHORTCUTS = {
    "site": ["site"],
    "age": ["age"],
    "sex": ["sex"],
    "voxel size": ["voxel_0_mm", "voxel_1_mm", "voxel_2_mm"],
}
#: Where the template's 1 mm grid holds the FSL one, and that one's first axis runs the other way.
FSL_PART = (slice(7, 189), slice(8, 226), slice(0, 182))
SMOOTHING_MM = 3.0


def cohort(name: str, subjects: int, seed: int) -> Cohort:
    """Return a cohort as its configuration describes it."""
    config = OmegaConf.load(HERE.parents[1] / "conf" / "phantom" / f"{name}.yaml")
    return instantiate(OmegaConf.merge({"seed": seed, "subjects": subjects, "visits": 1, "it": config}).it)


def codes(table: pd.DataFrame) -> np.ndarray:
    """Return the disease of each row as 0 and 1."""
    return table["disease"].map({name: code for code, name in enumerate(DISEASES)}).to_numpy(dtype=int)


def oracle_scores(table: pd.DataFrame) -> dict[str, list[float]]:
    """Return AUC and interval of all features and of load alone, on the same folds."""
    disease, features = codes(table), table.filter(regex="^f:")
    return {
        "oracle": list(oracle.auc_interval(disease, oracle.out_of_fold(features.to_numpy(), disease))),
        "load": list(oracle.auc_interval(disease, oracle.out_of_fold(table[LOAD].to_numpy(), disease))),
    }


def lesion_facts(table: pd.DataFrame) -> dict[str, dict]:
    """Return, by disease, how many have lesions, and quantiles of their number and volume."""
    facts = {}
    for name in DISEASES:
        own = table[table["disease"] == name]
        some = own[own["count"] > 0]
        shares = {
            column.removeprefix("n_"): float(some[column].sum() / some["count"].sum())
            for column in some.filter(regex="^n_")
        }
        quantiles = {
            column: [float(some[column].quantile(q)) for q in (0.1, 0.25, 0.5, 0.75, 0.9)] for column in ("count", "ml")
        }
        facts[name] = {"n": len(own), "with_lesions": len(some), **quantiles, "share_of_count": shares}
    return facts


def shortcuts(images: dict[tuple[str, int], pd.DataFrame], permutations: int) -> list[dict]:
    """Test every shortcut on every cohort seed; what does not depend on the cohort's kind is tested once a seed."""
    tests = []
    for (name, seed), table in images.items():
        disease = codes(table)
        numbers = pd.get_dummies(table, columns=["site", "sex"], dtype=float)
        sets = {"intensity of lesion-free tissue": list(table.filter(regex="^i:"))}
        if name == COHORTS[0]:
            for label, columns in SHARED_SHORTCUTS.items():
                sets[label] = [c for c in numbers if any(c == k or c.startswith(f"{k}_") for k in columns)]
        for label, columns in sets.items():
            auc, p = oracle.permutation_test(numbers[columns].to_numpy(), disease, permutations, seed)
            kind = name if label.startswith("intensity") else "all three"
            tests.append({"shortcut": label, "cohort": kind, "seed": seed, "auc": auc, "p": p})
    for test, adjusted in zip(tests, oracle.holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = adjusted
    return tests


def image_facts(tables: list[pd.DataFrame]) -> dict[str, list[float]]:
    """Return 5th, 50th and 95th percentile over scans of what the page gives ranges for (white matter = 1)."""
    table = pd.concat(tables)
    named = {
        "lesion median": "lesion_p50",
        "lesion p5": "lesion_p5",
        "lesion p95": "lesion_p95",
        "grey matter": "i:grey_p50",
        "fluid": "fluid_p50",
        "white matter sd": "i:white_sd",
        "noise sd": "i:noise",
        "bias p99/p1": "bias_p99_over_p1",
    }
    return {label: [float(table[column].quantile(q)) for q in (0.05, 0.5, 0.95)] for label, column in named.items()}


def density_correlation(real: Path, subjects: int, seed: int, say: "Say") -> tuple[dict, dict[str, np.ndarray]]:
    """Return how the MS lesion density of `lifelike` agrees with the real one inside the brain, and both maps."""
    people = cohort("lifelike", subjects, seed)
    template = load_template(measure.SPACING_MM)
    total, number = np.zeros(template.grid.shape), 0
    for subject in range(1, subjects + 1):
        if people.patient(subject)[1].disease == "MS":
            total += simulate_lesions(people, subject, spacing_mm=measure.SPACING_MM)[0].mask
            number += 1
        if subject % 50 == 0:
            say(f"density: {subject}/{subjects}")
    fine = load_template(1)
    whole = np.zeros(fine.grid.shape)
    whole[FSL_PART] = np.asarray(nib.Nifti1Image.from_filename(real).dataobj, dtype=np.float64)[::-1]
    sigma = SMOOTHING_MM / np.sqrt(8 * np.log(2))
    maps: dict[str, np.ndarray] = {}
    result: dict[str, float] = {"patients": number}
    for label, factor in (("fwhm_3_mm", sigma), ("sigma_3_mm", SMOOTHING_MM)):
        smooth_real = ndimage.gaussian_filter(whole, factor)[:: measure.SPACING_MM, :: measure.SPACING_MM, ::2]
        smooth = ndimage.gaussian_filter(total / number, factor / measure.SPACING_MM)
        inside = template.brain
        result[label] = float(np.corrcoef(smooth[inside], smooth_real[inside])[0, 1])
        maps = maps or {"simulated": smooth, "real": smooth_real}
    return result, maps


class Say:
    """A progress line on the terminal, with the time since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Print one line."""
        print(f"{time.monotonic() - self._start:7.0f} s  {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure what was asked for and write results.json, results.md and the pictures beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the oracle is measured on the first")
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--density", type=Path, help="real MS lesion density, FSL MNI152 1 mm")
    parser.add_argument("--real", type=Path, nargs=2, metavar=("SCAN", "MASK"), help="drawn beside simulated scans")
    parser.add_argument(
        "--cache", type=Path, default=Path("outputs/phantom-report"), help="also gets what stays private"
    )
    parser.add_argument("--only", nargs="+", choices=("lesions", "density", "images", "pictures"), help="default: all")
    options = parser.parse_args()
    wanted = options.only or ("lesions", "density", "images", "pictures")
    say, path = Say(), HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    results["subjects"], results["seeds"] = options.subjects, options.seeds
    options.cache.mkdir(parents=True, exist_ok=True)
    if "lesions" in wanted:
        for name in COHORTS:
            table = measure.lesion_rows(
                cohort(name, options.subjects, options.seeds[0]), options.subjects, options.cache, say
            )
            results.setdefault("lesions", {})[name] = {**oracle_scores(table), **lesion_facts(table)}
            say(f"{name}: {results['lesions'][name]['oracle']}, load {results['lesions'][name]['load']}")
    if "density" in wanted and options.density:
        results["density"], maps = density_correlation(options.density, options.subjects, options.seeds[0], say)
        grid = load_template(measure.SPACING_MM).grid
        draw.density_picture(HERE / "density.png", {"simulated": maps["simulated"]}, grid)
        draw.density_picture(options.cache / "density-beside-real.png", maps, grid)
    if "images" in wanted:
        images = {
            (name, seed): measure.image_rows(cohort(name, options.subjects, seed), options.subjects, options.cache, say)
            for seed in options.seeds
            for name in COHORTS
        }
        results["shortcuts"] = shortcuts(images, options.permutations)
        results["permutations"] = options.permutations
        results["image"] = image_facts(list(images.values()))
    if "pictures" in wanted:
        people = cohort("lifelike", options.subjects, options.seeds[0])
        draw.regions_picture(HERE / "regions.png")
        six = draw.six_subjects(people)
        draw.scans_picture(HERE / "montage.png", people, six)
        if options.real:
            draw.scans_picture(options.cache / "montage-beside-real.png", people, six, tuple(options.real))
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (HERE / "results.md").write_text(as_markdown(results), encoding="utf-8")


if __name__ == "__main__":
    main()
