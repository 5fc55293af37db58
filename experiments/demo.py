"""From a pretrained network to one of your own, on simulated data (`make demo`): predict, simulate, train, test, draw.

Each step is a `jsc` command, printed before it runs, so that it can be repeated by hand. All files are below one
folder; finished steps are skipped, and an interrupted training resumes.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from joint_seg_cls.pictures import case_picture
from joint_seg_cls.scan import read_mask, read_scan, reorient


@final
@dataclass(frozen=True)
class Size:
    """Size of the demo.

    Args:
        subjects: of the simulated cohort.
        image_size: voxels along each side of the network's image.
        experiment: the settings of the training.
        first_spacing_mm: voxel size of the first scan that is predicted.
        more: words for the commands that work on many scans.
    """

    subjects: int
    image_size: int
    experiment: str
    first_spacing_mm: int
    more: tuple[str, ...] = ()


#: The toy has so few scans that starting worker processes takes longer than the work.
SIZES = {"small": Size(320, 64, "demo", first_spacing_mm=1), "toy": Size(12, 32, "toy", 2, more=("workers=0",))}


def main() -> None:
    """Run all steps and print the results and their paths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    arguments = parser.parse_args()
    size, out = SIZES[arguments.size], arguments.out / arguments.size
    began = time.monotonic()

    first_prediction(out / "pretrained", size)
    cohort, store, runs, findings = out / "cohort", out / "store", out / "runs", out / "findings"
    jsc("phantom", f"out={cohort}", "phantom=clear", f"subjects={size.subjects}", "spacing_mm=2", "seed=2", *size.more)
    jsc(
        "prepare",
        f"cohort={cohort / 'cohort.tsv'}",
        f"store={store}",
        f"image_size={size.image_size}",
        "preprocess/bias_field=none",  # N4 takes seconds per scan; the simulated field is mild
        *size.more,
    )
    jsc("train", f"experiment={size.experiment}", f"data.store={store}", f"runs={runs}", "fold=0")
    run = next(runs.glob("*/*/fold-0_seed-0"))
    case = typical_case(run / "per_case.csv")
    row = cohort_row(cohort / "cohort.tsv", case)
    jsc("predict", f"input={cohort / row['flair']}", f"checkpoint={run}", f"out={findings}", "accept=[other_model]")
    picture = draw(cohort, row, findings)
    report(run, case, row, findings, picture, time.monotonic() - began)


def jsc(*words: str) -> None:
    """Print and run one command."""
    print(f"\n$ jsc {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "joint_seg_cls", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def typical_case(per_case: Path) -> pd.Series:
    """Return the test scan with the median DSC."""
    rows = pd.read_csv(per_case, dtype={"subject": str, "session": str}).dropna(subset="dsc").sort_values("dsc")
    return rows.iloc[len(rows) // 2]


def cohort_row(table: Path, case: pd.Series) -> pd.Series:
    """Return the row of a tested scan in the cohort table."""
    rows = pd.read_csv(table, sep="\t", dtype=str)
    return rows[(rows["subject"] == case["subject"]) & (rows["session"] == case["session"])].iloc[0]


def first_prediction(out: Path, size: Size) -> None:
    """Segment a simulated scan with the pretrained network, before anything is trained."""
    cohort, findings = out / "cohort", out / "findings"
    spacing = f"spacing_mm={size.first_spacing_mm}"
    jsc("phantom", f"out={cohort}", "phantom=clear", "subjects=2", spacing, "seed=3", *size.more)
    row = pd.read_csv(cohort / "cohort.tsv", sep="\t", dtype=str).iloc[0]
    jsc("predict", f"input={cohort / row['flair']}", f"out={findings}", "accept=[other_model]")
    picture = draw(cohort, row, findings)
    scan = read_scan(cohort / row["flair"])
    reference_ml = read_mask(cohort / row["lesion_mask"], scan.grid).sum() * scan.grid.voxel_ml
    found_ml = pd.read_csv(findings / "predictions.tsv", sep="\t")["lesion_volume_ml"].iloc[0]
    print("\n  a first prediction, by the pretrained network:", end=" ")
    print(f"{found_ml:.1f} mL of lesions, {reference_ml:.1f} mL in the reference")
    print(f"  page         {page_of(row, findings)}")
    print(f"  picture      {picture}")


def page_of(row: pd.Series, findings: Path) -> Path:
    """Return the page that `jsc predict` wrote for a scan."""
    return findings / Path(row["flair"]).name.replace(".nii.gz", ".html")


def draw(cohort: Path, row: pd.Series, findings: Path) -> Path:
    """Draw FLAIR, reference, prediction and location map of one scan, from the files that `jsc predict` wrote."""
    scan = read_scan(cohort / row["flair"])
    name = Path(row["flair"]).name.removesuffix(".nii.gz")
    canonical = scan.grid.canonical()

    def shown(volume: np.ndarray) -> np.ndarray:
        return reorient(volume, scan.grid, canonical)

    reference = read_mask(cohort / row["lesion_mask"], scan.grid)
    prediction = read_mask(findings / f"{name}_lesions.nii.gz", scan.grid)
    location_file = findings / f"{name}_location-map.nii.gz"
    location = shown(read_scan(location_file).data) if location_file.exists() else None
    record = json.loads((findings / f"{name}.json").read_text())
    title = f"{row['subject']}: {row['disease']}"
    if "disease_probability" in record:
        title += "; predicted: " + ", ".join(f"{name} {p:.2f}" for name, p in record["disease_probability"].items())
    path = findings / f"{name}.png"
    volumes = (shown(scan.data), shown(reference), shown(prediction), location)
    case_picture(path, *volumes, title=title, spacing_mm=canonical.spacing_mm)
    return path


def report(run: Path, case: pd.Series, row: pd.Series, findings: Path, picture: Path, seconds: float) -> None:
    """Print the results and the paths of the files."""
    summary = pd.read_csv(run / "summary.csv")
    print(f"\nDone in {seconds / 60:.1f} minutes.\n")
    for label, space in (("DSC", "model"), ("DSC", "native"), ("AUC", "scan"), ("ACC", "scan")):
        found = summary[(summary["metric"] == label) & (summary["space"] == space)].iloc[0]
        where = {"model": "on the network's grid", "native": "in the scans' own grids", "scan": "MS or NMOSD"}[space]
        interval = "" if np.isnan(found["low"]) else f" ({found['low']:.2f} to {found['high']:.2f})"
        print(f"  held-out {label} {found['value']:.2f}{interval}, {int(found['n'])} scans, {where}")
    print(f"\n  {row['subject']} ({row['disease']}) was predicted: DSC {case['dsc']:.2f}")
    for what, where in (
        ("page", page_of(row, findings)),
        ("picture", picture),
        ("its findings", findings),
        ("the run", run),
        ("every scan", run / "per_case.csv"),
    ):
        print(f"  {what:12} {where}")
    print("\nThese patients are simulated: the results show that the program learns, not how it performs on patients.")


if __name__ == "__main__":
    main()
