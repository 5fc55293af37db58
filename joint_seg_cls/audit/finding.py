"""A finding of the audit: severity, check, location, what was expected and found, and the remedy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, final, get_args

from joint_seg_cls.errors import ConfigError, InputError

#: An error stops training; a warning is repeated in every later report; a note is information.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
#: Names of the checks.
Check = Literal[
    "table", "files", "brain masks", "grids", "orientations", "intensities", "mask values", "masks outside the brain",
    "left-right mismatch", "duplicates", "subjects", "labels", "confounding", "leakage", "folds", "preparation",
]  # fmt: skip
#: Maximum number of cases named in a sentence.
_NAMED = 5
_ACCEPTED = " (accepted by the user)"
#: Maximum number of similar findings listed singly; more are summarised.
_LISTED = 3


@final
@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        severity: error, warning or note.
        check: name of the check, such as ``duplicates``.
        expected: what would be valid.
        found: what was there instead, with numbers; for warnings and notes a statement that is complete without
            ``expected``.
        remedy: what the user can do, in the imperative.
        cases: the cases concerned; empty for the whole cohort.
        file: the file at fault, if any.
    """

    severity: Severity
    check: Check
    expected: str
    found: str
    remedy: str
    cases: tuple[str, ...] = ()
    file: str = ""

    @property
    def where(self) -> str:
        """The file's name, or the first cases, or the whole cohort."""
        if self.file:
            return ", ".join([*self.cases[:1], Path(self.file).name])
        more = len(self.cases) - _NAMED
        return ", ".join(self.cases[:_NAMED]) + (f" and {more} more" if more > 0 else "") or "cohort"

    @property
    def is_accepted(self) -> bool:
        """Whether it was an error until the user accepted its check."""
        return self.remedy.endswith(_ACCEPTED)

    @property
    def sentence(self) -> str:
        """The finding as one sentence: errors with what was expected, warnings and notes as a statement."""
        text = f"expected {self.expected}, found {self.found}" if self.severity == "error" else self.found
        return f"{self.check}: {self.where}: {text}; {self.remedy}."

    @property
    def statement(self) -> str:
        """What was found and the remedy, without the case."""
        return f"{self.found} ({self.remedy})"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return asdict(self) | {"cases": list(self.cases)}


def finding_from_json(record: Mapping[str, Any]) -> Finding:
    """Return the finding from the output of :meth:`Finding.to_json`."""
    return Finding(**{**record, "cases": tuple(record["cases"])})


def from_refusal(error: InputError, check: Check, case: str) -> Finding:
    """Return an input error as a finding of severity error."""
    return Finding("error", check, error.expected, error.found, error.remedy, (case,) if case else (), error.where)


def counted(findings: Sequence[Finding]) -> list[Finding]:
    """Summarise similar warnings and notes of more than three cases as one: the first, and the number of others.

    Findings are similar if severity, check, ``expected`` and remedy are equal.
    """
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for number, one in enumerate(findings):
        is_single = one.severity == "error" or len(one.cases) != 1
        key = (one.severity, one.check, one.expected, one.remedy, str(number) if is_single else "")
        alike.setdefault(key, []).append(one)
    together = []
    for group in alike.values():
        if len(group) <= _LISTED:
            together += group
            continue
        first, cases = group[0], tuple(dict.fromkeys(case for one in group for case in one.cases))
        same = all(one.found == first.found for one in group)
        found = first.found if same else f"{first.found} (in {first.cases[0]}; {len(group) - 1} more like it)"
        together.append(replace(first, found=found, cases=cases, file=""))
    return together


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return errors before warnings before notes, each in their original order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def require_checks(names: Sequence[str], *, besides: Sequence[str] = ()) -> None:
    """Refuse names of checks that do not exist.

    Args:
        besides: other allowed values.

    Raises:
        ConfigError: one of ``names`` is not a check.
    """
    known = (*get_args(Check), *besides)
    if unknown := [name for name in names if name not in known]:
        expected = f"some of the checks {', '.join(known)}"
        raise ConfigError("accept", expected=expected, found=unknown[0], remedy="correct accept=[...]")


def accepted(findings: Iterable[Finding], checks: Sequence[str]) -> list[Finding]:
    """Return the findings with errors of the accepted ``checks`` as warnings."""
    return [
        replace(finding, severity="warning", remedy=f"{finding.remedy}{_ACCEPTED}")
        if finding.severity == "error" and finding.check in checks
        else finding
        for finding in findings
    ]
