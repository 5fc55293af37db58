"""Footnotes of tables: means over fewer scans than were tested, and the tests of claims."""

from collections.abc import Sequence

from joint_seg_cls.evaluation import DISEASE_METRICS
from joint_seg_cls.metrics import POWER
from joint_seg_cls.report.claims import ALPHA, Claim
from joint_seg_cls.report.study_table import TableRow

ONE_SEED = (
    "One seed: p and intervals account for the variation between patients, not between trainings. Train with several "
    "seeds (seed=0,1,2) before interpreting a small difference."
)


def means_over_fewer(rows: Sequence[TableRow]) -> list[str]:
    """Return sentences on means that are not over all tested scans."""
    fewer = [text for row in rows if (text := _fewer(row))]
    undefined = [text for row in rows if (text := _undefined(row))]
    uneven = [row.label for row in rows if _is_uneven(row)]
    return [
        *([f"Means over fewer scans than were tested: {'; '.join(fewer)}."] if fewer else []),
        *([f"Undefined in some folds, and means over the others: {'; '.join(undefined)}."] if undefined else []),
        *([f"Seeds with different folds, weighted equally: {', '.join(uneven)}."] if uneven else []),
    ]


def _fewer(row: TableRow) -> str:
    """Return the means over fewer scans than were tested; empty if there are none."""
    by_scans: dict[int, list[str]] = {}
    for name, one in row.measured.items():
        if name not in DISEASE_METRICS and one.scans != row.scans:
            by_scans.setdefault(one.scans, []).append(name)
    text = ", ".join(f"{', '.join(names)} over {scans}" for scans, names in by_scans.items())
    return f"{row.label}: {text}" if text else ""


def _undefined(row: TableRow) -> str:
    """Return the means over fewer folds than were tested; empty if there are none."""
    by_folds: dict[int, list[str]] = {}
    for name, one in row.measured.items():
        if one.value.folds < len(row.cells):
            by_folds.setdefault(one.value.folds, []).append(name)
    text = ", ".join(f"{', '.join(names)} over {folds} of {len(row.cells)}" for folds, names in by_folds.items())
    return f"{row.label}: {text}" if text else ""


def _is_uneven(row: TableRow) -> bool:
    folds, seeds = ({cell[place] for cell in row.cells} for place in (0, 1))
    return len(row.cells) < len(folds) * len(seeds)


def about_claims(claims: Sequence[Claim], *, is_repeated: bool) -> str:
    """Return how the claims of a table were tested; ``is_repeated``: several folds test the same scan."""
    of_folds = "on areas within folds, averaged as in the table"
    tests = {
        "Wilcoxon signed-rank": "Wilcoxon's signed-rank test on each subject's mean difference",
        "McNemar, exact": "McNemar's exact test with subjects as units",
        "DeLong": f"DeLong's test with subjects as clusters, {of_folds}",
        "paired bootstrap": f"paired bootstrap of whole subjects, {of_folds}",
    }
    text = dict.fromkeys(f"{claim.metric}: {tests[claim.test]}" for claim in claims)
    once = " A scan tested in several folds counts once, with its result in the first." if is_repeated else ""
    return (
        f"Claims: {'; '.join(text)}; p corrected by Holm over all tests of "
        f"this table. Smallest difference: detectable with {POWER:.0%} power on these scans at the level divided by "
        f"the number of tests. Holds, does not hold: corrected p < {ALPHA}, and the difference is at least that large; "
        "otherwise not decided. Only scans tested by both variants; with several seeds, the seeds with the "
        f"most common scans (or the lowest seed of each), averaged for each scan.{once}"
    )
