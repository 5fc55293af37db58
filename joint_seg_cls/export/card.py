"""The model card of an exported network, ``docs/README.md``: only what its files record."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from joint_seg_cls import __version__
from joint_seg_cls.evaluation import EMPTY_RULE
from joint_seg_cls.export.facts import MIN_GROUP_SCANS, TEST_FOLD, Facts, Test
from joint_seg_cls.export.program import ExportedPart
from joint_seg_cls.scan.cells import markdown, markdown_table
from joint_seg_cls.training import Checkpoint

#: Metrics that a subgroup is described by.
_IN_GROUPS = (("DSC", "native"), ("lesion F1", "native"), ("ACC", "scan"), ("AUC", "scan"))
_UNKNOWN = "not recorded"


def model_card(
    checkpoint: Checkpoint,
    facts: Facts,
    *,
    parts: Sequence[ExportedPart],
    parameters: int,
    steps: Sequence[str],
    missing: Sequence[str],
    differences: Mapping[str, Mapping[str, float]],
    shipped_card: str | None = None,
) -> str:
    """Return the card as Markdown; names and values of files are escaped.

    Args:
        facts: what its run records.
        parts: the programs.
        parameters: number of weights.
        steps: names of the preprocessing steps that the bundle carries.
        missing: what of the preprocessing it does not reproduce, as sentences.
        differences: largest relative difference of each output from the network, by file format.
        shipped_card: card of the installed weights, added as a whole.
    """
    sections = [
        _head(checkpoint, parts),
        _how_to_run(checkpoint, parts),
        _network(checkpoint, parts, parameters, differences),
        _preprocessing(steps, missing),
    ]
    if shipped_card is None:
        sections += [_data(checkpoint, facts), _metrics(checkpoint, facts), _limits(facts)]
    else:
        sections.append(f"## Card of the weights\n\n{shipped_card.strip()}")
    return "\n\n".join(sections) + "\n"


def _head(checkpoint: Checkpoint, parts: Sequence[ExportedPart]) -> str:
    recipe = checkpoint.recipe
    segments = any("lesion_logits" in part.outputs for part in parts)
    classifies = any("disease_logits" in part.outputs for part in parts)
    tasks = [*(["segments demyelinating lesions"] if segments else [])]
    tasks += [f"distinguishes {markdown(', '.join(recipe.classes))}"] if classifies else []
    return (
        f"# Model card\n\nA 3-D network that {' and '.join(tasks)} on brain MRI "
        f"({markdown(', '.join(recipe.modalities))}), "
        f"exported by joint_seg_cls {__version__}.\n\n"
        "**Intended use**: research on groups and methods. Not a medical device; not for the diagnosis or treatment of "
        "a person."
    )


def _how_to_run(checkpoint: Checkpoint, parts: Sequence[ExportedPart]) -> str:
    modalities = checkpoint.recipe.modalities
    image = (
        "scan.nii.gz"
        if len(modalities) == 1
        else shlex.quote(f"[{','.join(json.dumps(f'{m}.nii.gz') for m in modalities)}]")
    )
    segments = any("lesion_logits" in part.outputs for part in parts)
    classifies = any("disease_logits" in part.outputs for part in parts)
    files = ["`<name>_lesions.nii.gz`", "`<name>_lesion-probability.nii.gz`"] if segments else []
    files += ["`<name>_location-map.nii.gz`"] if any("location_maps_0" in part.outputs for part in parts) else []
    record = "class probabilities" if classifies else "lesion count and volume"
    unchecked = "It does not check whether a scan is like the training scans" + (
        ', and answers with the most probable class, never with "indeterminate".' if classifies else "."
    )
    return (
        "## Run it\n\nIn this folder; no package of the project that made it is needed:\n"
        "```sh\npip install -r requirements.txt\n"
        "python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json "
        f"--image {image} --output_dir predicted\n```\n"
        f"It writes {', '.join([*files, f'`<name>.json` ({record} and more)'])}, volumes in the scan's own grid. Add "
        f"`--brain_mask mask.nii.gz` for the brain mask of the scan. {unchecked}"
    )


def _network(
    checkpoint: Checkpoint,
    parts: Sequence[ExportedPart],
    parameters: int,
    differences: Mapping[str, Mapping[str, float]],
) -> str:
    recipe = checkpoint.recipe
    rows = [
        ("variant", recipe.variant),
        ("weights", f"{parameters:,}, of epoch {checkpoint.epoch}"),
        ("modalities", ", ".join(recipe.modalities)),
        ("classes", ", ".join(recipe.classes) if any("disease_logits" in part.outputs for part in parts) else "none"),
        ("image", " or ".join(f"{_spelled(part.size)} voxels, two images at once (fixed)" for part in parts)),
        ("lesion threshold", f"{recipe.lesion_threshold:g}"),
        ("views", "mean of the scan and its left-right mirror image" if recipe.views == "flips" else "one"),
        ("least lesion", f"{recipe.least_lesion_mm3:g} mm3"),
    ]
    for kind, found in differences.items():
        worst = max(found.values())
        rows.append((f"largest difference, {kind}", f"{worst:.1e} of the largest output, on one image of noise"))
    return "## Network\n\n" + _table(("", ""), rows)


def _preprocessing(steps: Sequence[str], missing: Sequence[str]) -> str:
    text = (
        "## Preprocessing\n\n`scripts/` has the code of the training's preprocessing, "
        f"unchanged but for its imports: {', '.join(steps)}."
    )
    if missing:
        text += "\n\nNot reproduced:\n" + "\n".join(f"- {each}" for each in missing)
    return text


def _data(checkpoint: Checkpoint, facts: Facts) -> str:
    trained_on, provenance = checkpoint.recipe.trained_on, facts.provenance
    counts = ", ".join(f"{name} {number}" for name, number in sorted(facts.trained.items()))
    scans = sum(facts.trained.values())
    rows = [
        ("scans (training and validation)", f"{scans} of {facts.trained_subjects} people" if scans else _UNKNOWN),
        ("by disease", counts or _UNKNOWN),
        ("fold held out for the test", str(trained_on["fold"]) if _is_number(trained_on["fold"]) else "a named fold"),
        ("seed", str(trained_on["seed"])),
        ("fingerprint of the data", str(trained_on["data_hash"])),
        ("trained with", _versions(provenance)),
        ("acquisition, demographics, consent", _UNKNOWN),
    ]
    return "## Training data\n\n" + _table(("", ""), rows)


def _metrics(checkpoint: Checkpoint, facts: Facts) -> str:
    if not facts.tests:
        return "## Metrics\n\nNo test of these weights is recorded."
    text = "## Metrics\n\nValue with 95 % interval (bootstrap over people)."
    for test in facts.tests:
        text += (
            f"\n\n### {test.name.capitalize()}: {len(test.rows)} scans of {test.rows['subject'].nunique()} people\n\n"
        )
        known = test.summary[(test.summary["n"] > 0) & test.summary["value"].notna()]
        rows = [(str(row["metric"]), str(row["space"]), str(row["n"]), _value(row)) for row in known.to_dict("records")]
        text += _table(("metric", "grid", "n", "value"), rows) + _overlap(test)
    text += f"\n\n{EMPTY_RULE}."
    text += "\n\n### Calibration\n\n" + (
        _UNKNOWN.capitalize() + "."
        if facts.calibration is None
        else f"Expected calibration error of {markdown(checkpoint.recipe.classes[-1])} in the test fold: "
        f"{facts.calibration:.3f} (ten bins; without interval; {_temperature(checkpoint)})."
    )
    groups = facts.subgroups(checkpoint.recipe.classes)
    text += f"\n\n### Subgroups of the test fold\n\nGroups of fewer than {MIN_GROUP_SCANS} scans are left out."
    if groups:
        header = [f"{metric} ({space})" for metric, space in _IN_GROUPS]
        rows = [(name, *(_of(summary, metric, space) for metric, space in _IN_GROUPS)) for name, summary in groups]
        text += "\n\n" + _table(("group", *header), rows)
    else:
        text += " No group is large enough."
    return text


def _temperature(checkpoint: Checkpoint) -> str:
    recipe = checkpoint.recipe
    if not recipe.calibration_scans:
        return "the probabilities are not recalibrated"
    return f"probabilities at temperature {recipe.temperature:.2f}, from {recipe.calibration_scans} validation scans"


def _overlap(test: Test) -> str:
    """Return a sentence where scans of a further test may have been trained on."""
    if test.name == TEST_FOLD or (test.trained_on is not None and not any(test.trained_on.values())):
        return ""
    if test.trained_on is None:
        return "\n\nWhether these weights were trained on some of these scans is not recorded."
    scans, others = test.trained_on["scans"], test.trained_on["by_subject"]
    return f"\n\n**Too good**: trained on {scans} of these scans, and on people of {others} more."


def _limits(facts: Facts) -> str:
    limits = [
        "It was tested on the scans above only; scans of other scanners, protocols or people may give other results.",
        "The diagnosis is a probability among the trained diseases; other diseases are not recognised.",
    ]
    if all(test.name == TEST_FOLD for test in facts.tests):
        limits.append("No test on another cohort is recorded.")
    if not facts.tests:
        limits.insert(0, "No measurement of its accuracy is recorded.")
    return "## Limits\n\n" + "\n".join(f"- {each}" for each in limits)


def _value(row: Mapping[Any, Any]) -> str:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return f"{value:.3f}" if np.isnan(low) or np.isnan(high) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _of(summary: pd.DataFrame, metric: str, space: str) -> str:
    found = summary[(summary["metric"].str.lower() == metric.lower()) & (summary["space"] == space)].to_dict("records")
    return _value(found[0]) if found and not np.isnan(float(found[0]["value"])) else "–"


def _versions(provenance: Mapping[str, Any]) -> str:
    packages = provenance.get("packages")
    if not isinstance(packages, dict):
        return _UNKNOWN
    own = [f"joint_seg_cls {provenance.get('joint_seg_cls')}"]
    return ", ".join(
        own + [f"{name} {packages[name]}" for name in ("torch", "monai", "lightning") if packages.get(name)]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(list(map(markdown, header)), [list(map(markdown, row)) for row in rows])


def _spelled(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _is_number(fold: object) -> bool:
    return isinstance(fold, int) or str(fold).isdigit()
