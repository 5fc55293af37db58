"""The tables of a study: those of the paper that it covers, and one of all other variants."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from joint_seg_cls.evaluation import (
    DISEASE_METRICS,
    EMPTY_RULE,
    LESION_METRICS,
    LESION_RULE,
    REGION_RECALLS,
    REGION_RULE,
    VOXEL_METRICS,
)
from joint_seg_cls.report.claims import Claim, claims_against, differences
from joint_seg_cls.report.footnotes import ONE_SEED, about_claims, means_over_fewer
from joint_seg_cls.report.measured import (
    LOWER_IS_BETTER,
    Measured,
    empty_reference_note,
    lesion_notes,
    measure,
)
from joint_seg_cls.report.published import PublishedTable, published_heading, published_tables
from joint_seg_cls.report.study_table import StudyTable, TableRow
from joint_seg_cls.report.variants import JOINT, Variant

_METRICS = (*VOXEL_METRICS, *DISEASE_METRICS)


_REGIONS = tuple(REGION_RECALLS)
_SURFACES = tuple(
    name for name in LESION_METRICS if name.startswith(("HD95", "surface", "recall")) and name not in _REGIONS
)
#: Lesion-wise tables: file, title, rule and metrics.
_LESION_TABLES = {
    "table-lesions": (
        "Lesion-wise metrics by the rules of each challenge",
        LESION_RULE,
        tuple(name for name in LESION_METRICS if name not in (*_SURFACES, *_REGIONS)),
    ),
    "table-surfaces": ("Surface metrics, and recall by lesion size", LESION_RULE, _SURFACES),
    "table-regions": ("Recall by anatomical region", REGION_RULE, _REGIONS),
}


@final
@dataclass(frozen=True)
class TableMaker:
    """Makes the tables of a study.

    Args:
        about: cohort, protocol and folds, for every caption.
        same_cohort: whether the scans are those of the paper.
    """

    variants: Sequence[Variant]
    about: str
    same_cohort: bool = False
    seed: int = 0
    resamples: int = 1000

    def tables(self, requested: Sequence[str]) -> list[StudyTable]:
        """Return the paper's tables and that of the other variants.

        Args:
            requested: tables named by the study, such as ``table7``; if empty, all tables in which one of its variants
                is listed with the joint model.
        """
        measured = {
            one.label: measure(one, _METRICS, seed=self.seed, resamples=self.resamples) for one in self.variants
        }
        chosen = _of_paper(requested, {one.base for one in self.variants})
        made = [self._paper(table, measured) for table in chosen]
        bases = {row.base for table in chosen for row in table.rows}
        others = [one for one in self.variants if one.base not in bases]
        if others:
            made.append(self._own(others, measured, has_paper=bool(chosen)))
        return [*made, *self._lesion_wise()]

    def _paper(self, table: PublishedTable, measured: Mapping[str, Mapping[str, Measured]]) -> StudyTable:
        rows: list[TableRow] = []
        pairs: list[tuple[Variant, Variant]] = []
        published: list[dict[str, float]] = []
        joint = next(row.values for row in table.rows if row.base == JOINT)
        missing = []
        for printed in table.rows:
            own = [one for one in self.variants if one.base == printed.base]
            for one in own:
                rows.append(_row(one, table.metrics, measured[one.label], printed.values))
                if (reference := self._reference(one)) is not None and one.base != JOINT:
                    pairs.append((reference, one))
                    published.append(differences(dict(joint), dict(printed.values)))
            if not own and printed.values:
                rows.append(TableRow(printed.label, printed.base, {}, printed.values))
                missing.append(f"{printed.label} is not in this study")
            missing += [f"{one.label} has no finished run" for one in own if not one.done]
        claims = claims_against(pairs, table.metrics, published, seed=self.seed, resamples=self.resamples)
        return StudyTable(
            name=f"table-{table.number}",
            title=f"Table {table.number}. {table.title}",
            metrics=table.metrics,
            rows=rows,
            claims=claims,
            caption=self._caption(),
            notes=[*self._notes(rows, table.metrics, claims), *table.notes()],
            heading="Published, same cohort" if self.same_cohort else published_heading(),
            missing="; ".join(missing),
        )

    def _own(
        self, others: Sequence[Variant], measured: Mapping[str, Mapping[str, Measured]], *, has_paper: bool
    ) -> StudyTable:
        beside = [one for one in self.variants if one.base == JOINT and one not in others]
        shown = [*others, *beside]
        metrics = tuple(name for name in _METRICS if any(name in measured[one.label] for one in shown))
        rows = [_row(one, metrics, measured[one.label], {}) for one in shown]
        has_joint = any(one.base == JOINT for one in self.variants)
        references = [(self._reference(one) if has_joint else shown[0], one) for one in others]
        pairs = [(first, second) for first, second in references if first is not None and first is not second]
        claims = claims_against(pairs, metrics, [{}] * len(pairs), seed=self.seed, resamples=self.resamples)
        waiting = [f"{one.label} has no finished run" for one in shown if not one.done]
        return StudyTable(
            name="table-variants",
            title="Further variants of this study" if has_paper else "Variants of this study",
            metrics=metrics,
            rows=rows,
            claims=claims,
            caption=self._caption(),
            notes=self._notes(rows, metrics, claims),
            missing="; ".join(waiting),
        )

    def _lesion_wise(self) -> list[StudyTable]:
        """Return the tables of lesions, surfaces and regions, if a run has these metrics."""
        draws = {"seed": self.seed, "resamples": self.resamples}
        found = [(one, measured) for one in self.variants if (measured := measure(one, tuple(LESION_METRICS), **draws))]
        tables = []
        for name, (title, rule, names) in _LESION_TABLES.items():
            metrics = tuple(each for each in names if any(each in measured for _, measured in found))
            if not metrics:
                continue
            rows = [_row(one, metrics, measured, {}) for one, measured in found]
            lower = [each for each in metrics if each in LOWER_IS_BETTER]
            caption = f"{self._caption()} Lower is better: {', '.join(lower)}." if lower else self._caption()
            counted = lesion_notes([one for one, _ in found]) if names is not _REGIONS else []
            notes = [f"{rule[0].upper()}{rule[1:]}.", *counted, *means_over_fewer(rows)]
            tables.append(StudyTable(name, title, metrics, rows, (), caption, notes))
        return tables

    def _reference(self, variant: Variant) -> Variant | None:
        """Return the joint model for comparison: with the same settings, or else with the fewest; None for itself."""
        joint = [one for one in self.variants if one.base == JOINT]
        alike = [one for one in joint if one.settings == variant.settings and one is not variant]
        plain = min(joint, key=lambda one: len(one.settings), default=None)
        reference = (alike or [plain])[0]
        return None if reference is variant else reference

    def _caption(self) -> str:
        return (
            f"{self.about} Values in percent (distances in mm): mean over folds ± sd over folds (95 % bootstrap "
            "interval over subjects); best bold, second underlined, among the rows with the most finished runs."
        )

    def _notes(self, rows: Sequence[TableRow], metrics: Sequence[str], claims: Sequence[Claim]) -> list[str]:
        notes = []
        if set(metrics) & set(VOXEL_METRICS):
            notes.append(f"Empty masks: {EMPTY_RULE}. Measured in the scan's own grid.")
            labels = {row.label for row in rows}
            empty = [note for one in self.variants if one.label in labels and (note := empty_reference_note(one))]
            if empty:
                notes.append(f"Scans with an empty reference, separately (false-positive volume): {'; '.join(empty)}.")
        if set(metrics) & set(DISEASE_METRICS):
            classes = next((one.classes for one in self.variants if len(one.classes) > 1), ("MS", "NMOSD"))
            notes.append(
                f"Positive class: {classes[-1]}."
                if len(classes) == 2
                else "SN, SP and AUC are means over the classes, one against the rest."
            )
        notes += means_over_fewer(rows)
        notes.append("Converged: the training loss fell by less than 2 % in the last fifth of the epochs.")
        if claims:
            repeated = any(one.is_repeated for one in self.variants)
            notes.append(about_claims(claims, is_repeated=repeated))
            if len({run.seed for one in self.variants for run in one.done}) == 1:
                notes.append(ONE_SEED)
        return notes


def _of_paper(requested: Sequence[str], bases: set[str]) -> list[PublishedTable]:
    numbers = {int(found[0]) for name in requested if (found := re.findall(r"\d+", str(name)))}
    if numbers:
        return [table for table in published_tables() if table.number in numbers]
    return [table for table in published_tables() if any(row.base in bases for row in table.rows if row.base != JOINT)]


def _row(
    variant: Variant,
    metrics: Sequence[str],
    measured: Mapping[str, Measured],
    published: Mapping[str, float],
) -> TableRow:
    return TableRow(
        label=variant.label,
        base=variant.base,
        measured={name: measured[name] for name in metrics if name in measured},
        published=published,
        runs=(len(variant.done), len(variant.runs)),
        scans=variant.rows["case"].nunique() if len(variant.rows) else 0,
        converged=variant.converged() if variant.done else "",
        cells=variant.cells,
    )
