"""All figures of a study (Huang et al. 2024 [1], Fig. 8-12, training curves, calibration), or why a figure is missing.

[1] https://doi.org/10.3389/fnins.2024.1351387
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

from joint_seg_cls.errors import InputError
from joint_seg_cls.report.figure import COLOURS, Figure
from joint_seg_cls.report.figures_calibration import draw_calibration, draw_coverage
from joint_seg_cls.report.figures_cases import Gallery, OpenNetwork
from joint_seg_cls.report.figures_lesions import MOST_METHODS, draw_errors, draw_lesions
from joint_seg_cls.report.figures_maps import draw_maps
from joint_seg_cls.report.figures_roc import draw_roc
from joint_seg_cls.report.figures_training import draw_curves
from joint_seg_cls.report.runs import ReportRun
from joint_seg_cls.report.variants import JOINT, Variant, choose, classifying, joint_or_first, pool

_log = logging.getLogger(__name__)
Draw = Callable[..., Figure]
#: Methods in the paper's figures.
_FIGURE_8 = ("unet3d", "vnet", "attention_unet", JOINT)
_FIGURE_9 = ("resnet50", "resnet101", "resnet152", "densenet121", "senet50", JOINT)
_FIGURE_10 = ("only_seg", JOINT)
_FIGURE_11 = ("only_cls", JOINT)


def draw_figures(runs: Sequence[ReportRun], out: Path, *, open_network: OpenNetwork, seed: int = 0) -> list[Figure]:
    """Draw all figures that the finished runs allow into ``out``; the others state what they need.

    Args:
        runs: all runs of the study, finished or not.
        out: folder of the PNG files, and of PDFs of line drawings.
        open_network: rebuilds the network of a run folder.
    """
    study = _Study(pool(runs), out, Gallery(open_network), seed)
    figures = [study.lesions(), study.roc_of_baselines(), study.errors(), study.roc_of_single_task(), study.maps()]
    figures += [study.calibration(), study.coverage()]
    labels = dict.fromkeys(run.label for run in runs)
    for number, label in enumerate(labels):
        own = [run for run in runs if run.label == label]
        figures.append(draw_curves(label, own, out, f"training-{number + 1:02d}"))
    return figures


@final
class _Study:
    """The finished part of a study."""

    def __init__(self, pooled: Sequence[Variant], out: Path, gallery: Gallery, seed: int) -> None:
        self._out, self._gallery, self._seed = out, gallery, seed
        self._segmenting = [one for one in pooled if one.segments]
        self._classifying = classifying(pooled)

    def lesions(self) -> Figure:
        methods = _of_paper(self._segmenting, _FIGURE_8, MOST_METHODS)
        return self._pictures("figure-08", "Figure 8. Segmented lesions", methods, 1, draw_lesions)

    def errors(self) -> Figure:
        title = "Figure 10. True positive, false positive and missed lesions"
        return self._pictures("figure-10", title, choose(self._segmenting, _FIGURE_10), 2, draw_errors)

    def roc_of_baselines(self) -> Figure:
        methods = _of_paper(self._classifying, _FIGURE_9, len(COLOURS))
        return self._curves("figure-09", "Figure 9. ROC curves of the classifiers", methods, 1, draw_roc)

    def roc_of_single_task(self) -> Figure:
        title = "Figure 11. ROC curves of the joint model and of classification alone"
        return self._curves("figure-11", title, choose(self._classifying, _FIGURE_11), 2, draw_roc)

    def maps(self) -> Figure:
        name, title = "figure-12", "Figure 12. Location maps of the classifier"
        both = [one for one in self._classifying if one.segments]
        shown = choose(both, [JOINT]) or both
        return self._draw(name, title, shown, 1, lambda: draw_maps(shown[0], self._gallery, self._out, name, title))

    def calibration(self) -> Figure:
        title = "Calibration of the class probabilities"
        return self._curves("calibration", title, self._classifying, 1, draw_calibration)

    def coverage(self) -> Figure:
        return self._curves(
            "coverage", "Accuracy against the share of scans answered", self._classifying, 1, draw_coverage
        )

    def _pictures(self, name: str, title: str, methods: Sequence[Variant], least: int, draw: Draw) -> Figure:
        """Draw cases that are selected by the DSC of the joint model, or of the first variant."""
        to = (self._gallery, self._out, name, title)
        return self._draw(name, title, methods, least, lambda: draw(methods, joint_or_first(self._segmenting), *to))

    def _curves(self, name: str, title: str, methods: Sequence[Variant], least: int, draw: Draw) -> Figure:
        return self._draw(name, title, methods, least, lambda: draw(methods, self._out, name, title, seed=self._seed))

    def _draw(
        self, name: str, title: str, methods: Sequence[Variant], least: int, draw: Callable[[], Figure]
    ) -> Figure:
        if len(methods) < least:
            found = f"; finished: {', '.join(one.label for one in methods)}" if methods else ""
            return Figure(name, title, missing=f"needs finished runs of {_WAITS_FOR[name]}{found}")
        try:
            figure = draw()
        except InputError as error:
            return Figure(name, title, missing=str(error))
        except Exception as error:  # noqa: BLE001 - too little memory for a network must not prevent the tables
            _log.exception("%s could not be drawn", name)
            return Figure(name, title, missing=f"could not be drawn: {type(error).__name__}: {error}")
        rows, there = _ROWS.get(name, ()), {one.base for one in methods}
        absent = [base for base in rows if base not in there] if len(there.intersection(rows)) > 1 else []
        note = f" Not in this study, or not finished: {', '.join(absent)}." if absent and figure.png else ""
        return replace(figure, caption=figure.caption + note)


_ROWS = {"figure-08": _FIGURE_8, "figure-09": _FIGURE_9, "figure-10": _FIGURE_10, "figure-11": _FIGURE_11}
_WAITS_FOR = {
    "figure-08": "any variant that segments",
    "figure-09": "any variant that classifies, with test scans of every class",
    "figure-10": "only_seg and joint",
    "figure-11": "only_cls and joint, with test scans of every class",
    "figure-12": "a variant with both tasks, with test scans of every class",
    "calibration": "any variant that classifies, with test scans of every class",
    "coverage": "any variant that classifies, with test scans of every class",
}


def _of_paper(pooled: Sequence[Variant], bases: Sequence[str], most: int) -> list[Variant]:
    """Return the paper's methods, or the study's own if it has fewer than two of them; joint is last."""
    chosen = choose(pooled, bases)
    if len(chosen) >= min(2, len(pooled)):
        return chosen
    joint = choose(pooled, [JOINT])
    others = [one for one in pooled if one not in joint]
    return [*others[: most - len(joint)], *joint]
