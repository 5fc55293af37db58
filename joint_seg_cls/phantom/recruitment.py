"""Recruitment of a cohort: disease, site and number of visits of each subject."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from joint_seg_cls.errors import ConfigError, is_whole, require_valid
from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.scan import DISEASES

MOST_VISITS = 5


@final
@dataclass(frozen=True)
class Enrolment:
    """Enrolment of one subject. ``site`` is None if it is drawn with the person."""

    disease: str
    visits: int
    site: str | None = None


class Recruitment(ABC):
    """Defines the enrolment of subjects 1, 2, ..."""

    @abstractmethod
    def subjects(self) -> int:
        """Return the number of subjects."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the parameters of :meth:`enrol`, as plain values."""

    @abstractmethod
    def enrol(self, seed: int, subject: int) -> Enrolment:
        """Return the enrolment of ``subject`` (from 1), which depends only on the seed and this number."""


@final
class Balanced(Recruitment):
    """Equal numbers of both diseases, with all sites mixed.

    Subjects 1 and 2, 3 and 4, ... are one patient of each disease, in an order that depends on the seed.

    Args:
        subjects: number of subjects; None for ``usual``.
        usual: default number of subjects.
        visits: scans per subject, 1 to 5.
    """

    def __init__(self, subjects: int | None, usual: int, visits: int) -> None:
        self._subjects = _checked("subjects", usual if subjects is None else subjects, 1, 99_999)
        self._visits = _checked("visits", visits, 1, MOST_VISITS)

    def subjects(self) -> int:
        """Return the number of subjects."""
        return self._subjects

    def describe(self) -> dict[str, Any]:
        """Return the parameters of :meth:`enrol`, as plain values."""
        return {"kind": "balanced", "visits": self._visits}

    def enrol(self, seed: int, subject: int) -> Enrolment:
        """Return the enrolment of ``subject`` (from 1)."""
        pair, place = divmod(subject - 1, 2)
        flipped = int(stream(seed, pair, "enrolment").integers(2))
        return Enrolment(DISEASES[place ^ flipped], self._visits)


@final
@dataclass(frozen=True)
class Group:
    """Subjects of one disease at one site; ``visits`` lists their numbers of scans; the last applies to the rest."""

    disease: str
    subjects: int
    site: str
    visits: Sequence[int]


@final
class ByGroup(Recruitment):
    """Groups of given size, disease and site, mixed in an order that depends on the seed.

    Args:
        groups: ``disease``, ``subjects``, ``site`` and ``visits`` of each group.
        subjects: use only this number of subjects; None for all.
        visits: must be 1, because each group has its own numbers.
    """

    def __init__(self, groups: Sequence[Group], subjects: int | None, visits: int = 1) -> None:
        if visits != 1:
            raise ConfigError(
                "visits",
                expected="no value, because the groups of the preset have their own",
                found=repr(visits),
                remedy="remove visits=",
            )
        sites = [site["name"] for site in parameters()["sites"]]
        self._enrolments = []
        for group in groups:
            if group.site not in sites or group.disease not in DISEASES:
                raise ConfigError(
                    "phantom.recruitment.groups",
                    expected=f"a site of {', '.join(sites)} and a disease of {', '.join(DISEASES)}",
                    found=f"{group.site}, {group.disease}",
                    remedy="correct the group",
                )
            for number in range(group.subjects):
                visits = _checked("visits", group.visits[min(number, len(group.visits) - 1)], 1, MOST_VISITS)
                self._enrolments.append(Enrolment(group.disease, visits, group.site))
        most = len(self._enrolments)
        self._subjects = _checked("subjects", most if subjects is None else subjects, 1, most)

    def subjects(self) -> int:
        """Return the number of subjects."""
        return self._subjects

    def describe(self) -> dict[str, Any]:
        """Return the parameters of :meth:`enrol`, as plain values."""
        return {"kind": "groups", "enrolments": [[e.disease, e.site, e.visits] for e in self._enrolments]}

    def enrol(self, seed: int, subject: int) -> Enrolment:
        """Return the enrolment of ``subject`` (from 1)."""
        order = np.random.default_rng(np.random.SeedSequence([seed, len(self._enrolments)])).permutation(
            len(self._enrolments)
        )
        return self._enrolments[int(order[subject - 1])]


def _checked(key: str, value: int, least: int, most: int) -> int:
    require_valid(key, is_whole(value, least, most), f"an integer from {least} to {most}", value)
    return value
