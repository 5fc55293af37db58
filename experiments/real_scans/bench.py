"""Evaluate a checkpoint on real scans: mask quality at several thresholds, and detected lesions by scan.

    python experiments/real_scans/bench.py --checkpoint RUN_OR_FILE --cohort TABLE [--out FOLDER] [--thresholds 0.3 0.5]

TABLE is any cohort table with lesion masks. All values are in the scans' own grids. The first table uses
the checkpoint's own threshold; the second shows other thresholds (for information, not for choosing one).
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import cast, final

import numpy as np
import pandas as pd
import torch

from joint_seg_cls.evaluation import evaluate_cases, from_cohort
from joint_seg_cls.inference import Findings, Predictor
from joint_seg_cls.metrics import SIZES, dice
from joint_seg_cls.runs.load import load_pipeline, load_predictor
from joint_seg_cls.scan import Geometry, read_cohort


def main() -> None:
    """Measure, print, and write ``bench.csv`` and ``bench.md``."""
    words = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    words.add_argument("--checkpoint", required=True)
    words.add_argument("--cohort", required=True, type=Path)
    words.add_argument("--out", type=Path)
    words.add_argument("--thresholds", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7])
    words.add_argument(
        "--extract", action="store_true", help="extract the brain as jsc predict does, ignoring the table"
    )
    asked = words.parse_args()
    torch.set_num_threads(1)
    table, others = measure(asked.checkpoint, asked.cohort, asked.thresholds, extract=asked.extract)
    text = f"{_markdown(table)}\n\nDSC at other thresholds:\n\n{_markdown(others)}\n"
    print(text)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(asked.out / "bench.csv", index=False)
        (asked.out / "bench.md").write_text(text, encoding="utf-8")


def measure(
    checkpoint: str, cohort: Path, thresholds: list[float], *, extract: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row per scan and the means: at the checkpoint's threshold, and only DSC at others."""
    network, found = load_predictor(checkpoint, device="cpu")
    predictor = Once(network)
    pipeline = load_pipeline(found)
    rows = read_cohort(cohort, modalities=found.recipe.modalities, classes=found.recipe.classes)
    measured, others = [], []
    for row in rows:
        case = from_cohort(replace(row, brain_mask=None) if extract else row, pipeline)
        start = time.perf_counter()
        figures = evaluate_cases(
            [case], cast("Predictor", predictor), total=1, classes=found.recipe.classes, fold=None
        ).iloc[0]
        seconds = time.perf_counter() - start
        probability = network.in_native_space(predictor(case.image), case.geometry).lesion_probability
        assert probability is not None
        assert case.reference_native is not None
        sizes = {
            size: f"{figures[f'lesions_detected_{size}']:.0f}/{figures[f'lesions_reference_{size}']:.0f}"
            for size in SIZES
        }
        measured.append(
            {
                "scan": case.case,
                "mL": figures["volume_reference_ml"],
                "found mL": figures["volume_predicted_ml"],
                **{name: figures[name] for name in ("dsc", "ppv", "tpr", "lesion_f1", "dsc_ceiling")},
                **sizes,
                "false": figures["lesions_false"],
                "s": seconds,
            }
        )
        at = {f"{level:g}": dice(probability >= level, case.reference_native) for level in thresholds}
        others.append({"scan": case.case, **at})
    return _with_means(measured), _with_means(others)


@final
class Once:
    """A predictor that predicts the same image once."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._last: tuple[np.ndarray, Findings] | None = None

    def __call__(self, image: np.ndarray, scan: str | Path = "image") -> Findings:
        """Return the findings in model space."""
        if self._last is None or self._last[0] is not image:
            self._last = image, self._predictor(image, scan)
        return self._last[1]

    def in_native_space(self, findings: Findings, geometry: Geometry) -> Findings:
        """Return findings on the scan's own grid."""
        return self._predictor.in_native_space(findings, geometry)


def _with_means(rows: list[dict[str, object]]) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    numbers = table.select_dtypes(np.number).mean()
    return pd.concat([table, pd.DataFrame([{"scan": "mean", **numbers}])], ignore_index=True)


def _markdown(table: pd.DataFrame) -> str:
    def cell(name: str, value: object) -> str:
        if pd.isna(value):
            return ""
        if not isinstance(value, float | np.floating):
            return str(value)
        return f"{value:.1f}" if name in ("mL", "found mL", "false", "s") else f"{value:.3f}"

    lines = ["| " + " | ".join(table.columns) + " |", "|---" * len(table.columns) + "|"]
    lines += [
        "| " + " | ".join(cell(str(name), value) for name, value in row.items()) + " |" for _, row in table.iterrows()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
