"""Patients of a cohort: draws that depend on the disease, before lesions have positions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from joint_seg_cls.errors import ConfigError
from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.scan import DISEASES


@final
@dataclass(frozen=True)
class Patient:
    """The properties drawn for one subject.

    Attributes:
        drawn_as: the disease that determines the lesions; differs from ``disease`` in an atypical patient.
        features: features of the lesions (keys of ``parameters.json``, "features"); empty without lesions.
        count: number of lesions of at least 3 mm3.
    """

    disease: str
    drawn_as: str
    features: frozenset[str]
    count: int
    volume_ml: float

    @property
    def atypical(self) -> bool:
        """Whether the lesions are those of the other disease."""
        return self.drawn_as != self.disease


@final
@dataclass(frozen=True)
class Population:
    """Distribution of patients of each disease.

    Args:
        atypical: fraction of patients of each disease who look like the other disease.
        lesion_free: fraction of patients of each disease without brain lesions.
        pooled_load: draw lesion count and total volume of both diseases from one distribution, the even mixture of
            both; then only location, shape and spread differ.
    """

    name: str
    atypical: Mapping[str, float]
    lesion_free: Mapping[str, float]
    pooled_load: bool

    def __post_init__(self) -> None:
        for key in ("atypical", "lesion_free"):
            shares = getattr(self, key)
            if set(shares) != set(DISEASES) or not all(0 <= float(share) <= 1 for share in shares.values()):
                raise ConfigError(
                    f"phantom.population.{key}",
                    expected="a fraction between 0 and 1 for each of MS and NMOSD",
                    found=str(dict(shares)),
                    remedy=f"set phantom.population.{key}.MS and phantom.population.{key}.NMOSD",
                )

    def draw(self, disease: str, seed: int, subject: int) -> Patient:
        """Draw the patient with number ``subject`` in the cohort of ``seed``."""
        rng = stream(seed, subject, "patient")
        atypical, lesion_free = rng.random(2)
        own = DISEASES.index(disease)
        drawn_as = DISEASES[1 - own] if atypical < self.atypical[disease] else disease
        count, volume_ml = self._load(drawn_as, rng)
        features = _features(drawn_as, count, rng)
        if lesion_free < self.lesion_free[disease]:
            return Patient(disease, drawn_as, frozenset(), 0, 0.0)
        return Patient(disease, drawn_as, features, count, volume_ml)

    def _load(self, drawn_as: str, rng: np.random.Generator) -> tuple[int, float]:
        r"""Draw :math:`(\ln n, \ln V)` from a bivariate normal, redrawn until both are within their ranges."""
        table = parameters()["load"]
        while True:
            source = DISEASES[int(rng.integers(2))] if self.pooled_load else drawn_as
            ranges = table["pooled" if self.pooled_load else source]
            law = table[source]
            first, second = rng.standard_normal(2)
            second = law["correlation"] * first + np.sqrt(1 - law["correlation"] ** 2) * second
            count = round(float(np.exp(law["ln_count"][0] + law["ln_count"][1] * first)))
            volume_ml = float(np.exp(law["ln_volume_ml"][0] + law["ln_volume_ml"][1] * second))
            count_fits = ranges["count_range"][0] <= count <= ranges["count_range"][1]
            if count_fits and ranges["volume_range_ml"][0] <= volume_ml <= ranges["volume_range_ml"][1]:
                return count, volume_ml


def draw_age_and_sex(rng: np.random.Generator) -> tuple[float, str]:
    """Draw the age in years and the sex, independent of the disease."""
    mean, sd, least, most = parameters()["age_years"]
    age = float(np.clip(rng.normal(mean, sd), least, most))
    return age, "F" if rng.random() < parameters()["share_female"] else "M"


def _features(drawn_as: str, count: int, rng: np.random.Generator) -> frozenset[str]:
    """Draw the features independently; a part (``_PART_OF``) occurs only together with its whole.

    A patient with fewer lesions than features keeps a random subset of features that the lesions can show.
    """
    column = 1 if drawn_as == "MS" else 4
    chance = {name: row[column] for name, row in parameters()["features"].items() if name != "_columns"}
    chance |= {part: chance[part] / chance[whole] for part, whole in _PART_OF.items()}
    luck = dict(zip(chance, rng.random(len(chance)), strict=True))
    present = {name for name in chance if luck[name] < chance[name]}
    order = [str(name) for name in rng.permutation(sorted(chance))]
    shown = _with_wholes([name for name in order if name in present])
    while sum(name in _OWN_LESION or name in _alone(shown) for name in shown) > count:
        shown = _with_wholes(shown[:-1])
    return frozenset(shown)


#: Features that only occur as part of another; their frequencies are unconditional.
_PART_OF = {
    "pons": "infratentorial",
    "cerebellum": "infratentorial",
    "dawson": "periventricular",
    "linear_ependymal": "periventricular",
}


def _with_wholes(features: list[str]) -> list[str]:
    return [name for name in features if _PART_OF.get(name, name) in features]


#: Features that need a separate lesion; others share one with the feature of which they are part.
_OWN_LESION = (
    "juxtacortical",
    "inferior_temporal",
    "callosal",
    "pons",
    "cerebellum",
    "periependymal",
    "area_postrema",
    "hypothalamus",
    "corticospinal",
    "linear_ependymal",
    "cloud",
    "punctate",
)


def _alone(shown: list[str]) -> set[str]:
    """Return the lesion-sharing features without a lesion to share."""
    alone = set()
    if "periventricular" in shown and "linear_ependymal" not in shown:
        alone.add("periventricular")
    if "infratentorial" in shown and not {"pons", "cerebellum"} & set(shown):
        alone.add("infratentorial")
    return alone
