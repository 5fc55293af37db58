"""The per-case table of a test: one row of labels and metrics per scan."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from joint_seg_cls.errors import InputError, enough_memory
from joint_seg_cls.evaluation.cases import MORE_MEMORY, TestCase
from joint_seg_cls.evaluation.lesion_columns import lesion_columns
from joint_seg_cls.evaluation.region_columns import WITHHELD, region_columns
from joint_seg_cls.inference import Findings, Predictor, fit_anatomy
from joint_seg_cls.lesions import label_lesions
from joint_seg_cls.metrics import dice, ppv, tpr, volume_difference
from joint_seg_cls.parallel import watched

_log = logging.getLogger(__name__)
_VOXEL_METRICS = {"dsc": dice, "ppv": ppv, "tpr": tpr, "vd": volume_difference}

#: Treatment of empty masks, printed below every table.
EMPTY_RULE = (
    "reference empty: DSC, PPV, TPR, VD undefined and excluded; only prediction empty: "
    "DSC = TPR = 0, VD = 1, PPV undefined"
)


def evaluate_cases(
    cases: Iterable[TestCase],
    predictor: Predictor,
    *,
    total: int,
    classes: Sequence[str],
    fold: int | str | None,
    failures: list[InputError] | None = None,
) -> pd.DataFrame:
    """Return one row per scan.

    Args:
        cases: the scans, opened one by one. To exclude scans that fail, use an iterator that continues after an
            exception, such as ``map`` (a generator does not).
        classes: disease names in the order of their codes.
        failures: collects the errors of scans that fail, which are excluded; without it the first error is raised.

    Columns; unknown and undefined values are NaN, counts are integers.

    * ``case``, ``subject``, ``session``, ``fold``, ``disease``, and one ``p_<class>`` per class, the probability at the
      temperature of the checkpoint; ``uncalibrated_<class>``: at temperature 1;
    * ``dsc``, ``ppv``, ``tpr``, ``vd`` in the scan's own grid, the same with ``_model`` on the network's grid;
    * ``dsc_ceiling``: DSC of the reference resampled to the network's grid and back;
    * ``volume_reference_ml``, ``volume_predicted_ml``, ``false_positive_ml``.

    In the scan's own grid:

    * ``lesions_reference``, ``lesions_predicted``, ``lesions_detected`` (of the reference, at least one voxel
      predicted), ``lesions_false`` (of the prediction, no voxel in the reference), ``ltpr``, ``lfpr``, ``lesion_f1``:
      26-connected, :class:`LesionWise`;
    * ``isbi_ltpr``, ``isbi_lfpr``: the same, 18-connected, as in the ISBI-2015 challenge;
    * ``msseg_sensl``, ``msseg_ppvl``, ``msseg_f1``: 6-connected lesions above 3 mm3, :class:`Msseg`, and if the
      reference has none of these ``msseg_false_lesions``, ``msseg_false_volume_mm3``;
    * ``hd95_mm``, ``surface_dice_1mm`` (tolerance 1 mm);
    * ``lesions_reference_<size>``, ``lesions_detected_<size>``: number of 26-connected reference lesions and of those
      detected, ``<size>`` one of ``below_10_mm3``, ``10_to_100_mm3``, ``100_to_1000_mm3``,
      ``above_1000_mm3`` (``metrics.SIZES``). Recall by size is the quotient of their sums over scans;
    * ``lesions_reference_<region>`` and further columns by anatomical region, see :mod:`.region_columns`;
      ``regions_withheld``: why they are NaN, empty where the template fits the scan.
    """
    rows = []
    for result in watched(_results(cases, predictor, classes, fold), total=total, label="test"):
        if not isinstance(result, InputError):
            rows.append(result)
        elif failures is None:
            raise result
        else:
            failures.append(result)
    return pd.DataFrame(rows).sort_values("case", ignore_index=True) if rows else pd.DataFrame()


def _results(
    cases: Iterable[TestCase], predictor: Predictor, classes: Sequence[str], fold: int | str | None
) -> Iterator[dict[str, Any] | InputError]:
    opened = iter(cases)
    while True:
        try:
            case = next(opened, None)
            if case is None:
                return
            with enough_memory(case.case, remedy=MORE_MEMORY):
                result = _row(case, predictor, classes, fold)
        except InputError as error:
            error.drop_frames()  # frees memory for the next scan
            result = error
        case = None
        yield result


def _row(case: TestCase, predictor: Predictor, classes: Sequence[str], fold: int | str | None) -> dict[str, Any]:
    model = predictor(case.image, case.case)
    native = predictor.in_native_space(model, case.geometry)
    row: dict[str, Any] = {
        "case": case.case,
        "subject": case.subject,
        "session": case.session or "",
        "fold": "" if fold is None else fold,
        "disease": case.disease or "",
    }
    for prefix, found in (("p_", native.disease_probability), ("uncalibrated_", native.uncalibrated_probability)):
        row |= {f"{prefix}{name}": np.nan if found is None else float(found[code]) for code, name in enumerate(classes)}
    return row | _segmentation(case, model, native) | _regions(case, native)


def _segmentation(case: TestCase, model: Findings, native: Findings) -> dict[str, float]:
    voxel_ml = case.geometry.native.voxel_ml
    row: dict[str, float] = {}
    row |= _voxel_metrics(native.lesions, case.reference_native, "")
    row |= _voxel_metrics(model.lesions, case.reference_model, "_model")
    row["dsc_ceiling"] = np.nan
    if case.reference_native is not None and case.reference_model is not None:
        there_and_back = case.geometry.to_native(case.reference_model, linear=False)
        row["dsc_ceiling"] = dice(there_and_back, case.reference_native)
    for name, mask in (("reference", case.reference_native), ("predicted", native.lesions)):
        row[f"lesions_{name}"] = np.nan if mask is None else label_lesions(mask)[1]
        row[f"volume_{name}_ml"] = np.nan if mask is None else float(mask.sum()) * voxel_ml
    known = native.lesions is not None and case.reference_native is not None
    row["false_positive_ml"] = (
        float((native.lesions & ~case.reference_native).sum()) * voxel_ml  # type: ignore[operator]
        if known
        else np.nan
    )
    return row | lesion_columns(native.lesions, case.reference_native, case.geometry.native)


def _regions(case: TestCase, native: Findings) -> dict[str, Any]:
    """Return the columns of regions; nothing is registered for a network that does not segment."""
    if native.lesions is None:
        return {WITHHELD: "", **region_columns(None, None, case.geometry.native, None)}
    brain = case.geometry.to_native(case.brain_mask, linear=False)
    brain_ml = float(brain.sum()) * case.geometry.native.voxel_ml
    fitted = fit_anatomy(case.image, case.brain_mask, brain, case.geometry, brain_ml)
    columns = region_columns(native.lesions, case.reference_native, case.geometry.native, fitted.anatomy)
    return {WITHHELD: fitted.withheld or "", **columns}


def _voxel_metrics(
    prediction: Bool[np.ndarray, "x y z"] | None, reference: Bool[np.ndarray, "x y z"] | None, suffix: str
) -> dict[str, float]:
    if prediction is None or reference is None:
        return {f"{name}{suffix}": np.nan for name in _VOXEL_METRICS}
    return {f"{name}{suffix}": measure(prediction, reference) for name, measure in _VOXEL_METRICS.items()}
