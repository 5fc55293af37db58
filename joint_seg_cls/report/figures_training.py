"""Training curves of each variant: losses of both tasks and validation metrics by epoch."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from joint_seg_cls.report.figure import COLOURS, Figure, canvas, save
from joint_seg_cls.report.runs import ReportRun

#: Panels: title, and curves as (name in metrics.csv, label, colour, dashed).
_LOSSES = (
    ("segmentation", "segmentation loss"),
    ("classification", "classification loss"),
    ("cross_task", "cross-task loss"),
)
_SCORES = (("val/dice", "DSC", COLOURS[1]), ("val/auc", "AUC", COLOURS[2]), ("val/acc", "ACC", COLOURS[3]))


def draw_curves(label: str, runs: Sequence[ReportRun], out: Path, name: str) -> Figure:
    """Draw the curves of all runs of one variant: thin lines are runs, thick ones their mean."""
    title = f"Training of {label}"
    tables = [table for run in runs if (table := run.metrics) is not None and len(table)]
    if not tables:
        return Figure(name, title, missing=f"no epoch of {label} is finished")
    drawn = canvas(12.5, 2.9)
    *losses, scores = drawn.subplots(1, len(_LOSSES) + 1)
    for axes, (term, heading) in zip(losses, _LOSSES, strict=True):
        _draw(axes, tables, f"train/loss/{term}", "training", COLOURS[0])
        _draw(axes, tables, f"val/loss/{term}", "validation", COLOURS[2])
        _finish(axes, heading)
    for key, shown, colour in _SCORES:
        _draw(scores, tables, key, shown, colour)
    scores.set_ylim(-0.02, 1.02)
    _finish(scores, "validation scans")
    epochs = max(int(table["epoch"].max()) + 1 for table in tables)
    count = "1 run" if len(tables) == 1 else f"{len(tables)} runs (thin) and their mean (thick)"
    caption = f"{count}, up to epoch {epochs}. A loss that the variant does not have is 0 or not drawn."
    return Figure(name, title, caption, save(drawn, out, name))


def _draw(axes: Axes, tables: Sequence[pd.DataFrame], key: str, label: str, colour: str) -> None:
    curves = [table.set_index(table["epoch"] + 1)[key].dropna() for table in tables if key in table]
    curves = [curve for curve in curves if len(curve) and not ("loss" in key and (curve == 0).all())]
    if not curves:
        return
    for curve in curves if len(curves) > 1 else []:
        axes.plot(curve.index, curve, color=colour, linewidth=0.6, alpha=0.45)
    mean = pd.concat(curves, axis=1, join="inner").mean(axis=1)
    marker = "o" if len(mean) == 1 else None
    axes.plot(mean.index, mean, color=colour, linewidth=1.8, label=label, marker=marker, markersize=3)


def _finish(axes: Axes, heading: str) -> None:
    axes.set_title(heading, fontsize=9)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, color="0.92")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, frameon=False)
    else:
        axes.text(0.5, 0.5, "none", color="0.5", ha="center", va="center", transform=axes.transAxes)
