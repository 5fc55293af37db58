"""One simulated subject: only the lesions, or all scans with their masks."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Bool, Int16

from joint_seg_cls.errors import ConfigError, is_whole, require_valid
from joint_seg_cls.phantom.acquisition import Sampler, draw_acquisition, draw_site
from joint_seg_cls.phantom.anatomy import draw_anatomy
from joint_seg_cls.phantom.atlas import load_atlas
from joint_seg_cls.phantom.flair import bias_field, brighten, compose, draw_contrast, magnitude, within
from joint_seg_cls.phantom.labelled_skull import LabelledSkull
from joint_seg_cls.phantom.parameters import parameters, stream
from joint_seg_cls.phantom.patient import Patient, Population, draw_age_and_sex
from joint_seg_cls.phantom.plan import plan_lesions
from joint_seg_cls.phantom.raster import DrawnLesions, draw_lesions
from joint_seg_cls.phantom.raters import another_rater, first_rater
from joint_seg_cls.phantom.recruitment import Enrolment, Recruitment
from joint_seg_cls.phantom.skull import NoSkull, Skull, StrippedScan
from joint_seg_cls.scan import Grid
from joint_seg_cls.scan.template import load_template

#: Growth of the lesion volume between two visits (mean and sd of the logarithm), and number of new lesions.
_LN_GROWTH, _NEW_LESIONS = (0.05, 0.08), 0.8
_YEARS_BETWEEN = (0.4, 1.4)
#: Intensity of white matter in the units of the file.
_GAIN = (300.0, 1200.0)


@final
@dataclass(frozen=True)
class Cohort:
    """The definition of a cohort: population, recruitment and seed."""

    population: Population
    recruitment: Recruitment
    seed: int

    def __post_init__(self) -> None:
        require_valid("seed", is_whole(self.seed, 0), "an integer of at least 0", self.seed)

    def patient(self, subject: int) -> tuple[Enrolment, Patient]:
        """Return subject number ``subject`` (from 1)."""
        enrolment = self.recruitment.enrol(self.seed, subject)
        return enrolment, self.population.draw(enrolment.disease, self.seed, subject)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the subjects, without their number."""
        population = self.population
        return {
            "parameters": hashlib.sha256(json.dumps(parameters(), sort_keys=True).encode()).hexdigest()[:12],
            "seed": self.seed,
            "population": population.name,
            "atypical": {name: float(share) for name, share in sorted(population.atypical.items())},
            "lesion_free": {name: float(share) for name, share in sorted(population.lesion_free.items())},
            "pooled_load": population.pooled_load,
            "recruitment": self.recruitment.describe(),
        }

    def anatomy(self) -> str:
        """Return a description of the anatomy."""
        return "the MNI152 anatomy"

    def prepare(self, spacing_mm: Literal[1, 2], skull: Skull | LabelledSkull) -> None:
        """Load data shared by all subjects, before processes are forked.

        Raises:
            ConfigError: the template does not support this ``skull``.
        """
        if isinstance(skull, LabelledSkull):
            raise ConfigError(
                f"skull={skull.name}",
                expected="none or shell, because the template has no labels outside the brain",
                found=skull.name,
                remedy="use skull=shell, or phantom=randomised",
            )
        load_atlas(spacing_mm)

    def person(self, subject: int, visit: int) -> dict[str, str]:
        """Return the table columns of a subject at a visit, except disease and files."""
        site = draw_site(self.seed, subject, self.patient(subject)[0].site)
        rng = stream(self.seed, subject, "person", 1)
        age, sex = draw_age_and_sex(rng)
        age += float(rng.uniform(*_YEARS_BETWEEN, visit - 1).sum())
        record = {"site": site["name"], "age": f"{age:.0f}", "sex": sex}
        return record | {"scanner": site["scanner"], "field_strength_t": site["field_t"]}

    def scans(
        self, subject: int, *, spacing_mm: Literal[1, 2], raters: int, skull: Skull | LabelledSkull | None = None
    ) -> Iterator["SimulatedScan"]:
        """Yield the scans of one subject by visit; a visit does not depend on the number of visits."""
        assert not isinstance(skull, LabelledSkull)  # refused by prepare
        return simulate_scans(self, subject, spacing_mm=spacing_mm, raters=raters, skull=skull)


@final
@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """The scan of one visit.

    Attributes:
        flair: FLAIR as integers, nonzero inside the brain, and 0 outside it if the scan is skull-stripped.
        lesion_masks: one reference per rater.
    """

    grid: Grid
    flair: Int16[np.ndarray, "x y z"]
    brain_mask: Bool[np.ndarray, "x y z"]
    lesion_masks: tuple[Bool[np.ndarray, "x y z"], ...]


def simulate_lesions(cohort: Cohort, subject: int, *, spacing_mm: Literal[1, 2] = 2) -> tuple[DrawnLesions, Patient]:
    """Return the lesions of one subject on the template's grid at the first visit, and the patient; no image."""
    patient = cohort.patient(subject)[1]
    return draw_lesions(plan_lesions(patient, cohort.seed, subject), spacing_mm), patient


def simulate_scans(
    cohort: Cohort, subject: int, *, spacing_mm: Literal[1, 2], raters: int, skull: Skull | None = None
) -> Iterator[SimulatedScan]:
    """Yield the scans of one subject by visit; a visit does not depend on the number of visits.

    ``skull`` adds the surroundings of the brain; None for none.
    """
    seed, skull = cohort.seed, skull or NoSkull()
    enrolment, patient = cohort.patient(subject)
    plan = plan_lesions(patient, seed, subject)
    anatomy, contrast = draw_anatomy(seed, subject), draw_contrast(seed, subject)
    site = draw_site(seed, subject, enrolment.site)
    template = load_template(spacing_mm)
    growth, new_lesions = 1.0, 0
    for visit in range(1, enrolment.visits + 1):
        if visit > 1:
            progress = stream(seed, subject, "progression", visit)
            growth *= float(np.exp(progress.normal(*_LN_GROWTH)))
            new_lesions += int(progress.poisson(_NEW_LESIONS)) if patient.count else 0
        drawn = draw_lesions(plan, spacing_mm, growth=growth, new_lesions=new_lesions)
        acquisition = draw_acquisition(site, anatomy, spacing_mm, stream(seed, subject, "acquisition", visit))
        sampler = Sampler(acquisition, anatomy, template.grid)
        brain = sampler.brain(template.brain.astype(np.float32))
        voxel_mm3 = acquisition.grid.voxel_ml * 1000
        first, share = first_rater(drawn, sampler, brain, voxel_mm3)
        signal, added = (sampler.average(volume) for volume in compose(contrast, drawn, seed, subject))
        signal = brighten(signal, added, first[brain], contrast)
        where = 2 * np.argwhere(brain) / np.array(brain.shape) - 1
        field_rng = stream(seed, subject, "field", visit)
        signal *= bias_field(where, contrast.bias, field_rng)
        signal = magnitude(signal, contrast.noise_sd, stream(seed, subject, "noise", visit))
        gain = float(np.exp(field_rng.uniform(*np.log(_GAIN))))
        signal *= gain
        flair = within(brain, np.clip(np.round(signal), 1, np.iinfo(np.int16).max)).astype(np.int16)
        others = tuple(
            another_rater(share, brain, acquisition.grid.spacing_mm, stream(seed, subject, "rater", visit, rater))
            for rater in range(2, raters + 1)
        )
        margin = skull.margin(acquisition)
        whole = skull.around(StrippedScan(flair, brain, acquisition, anatomy, contrast, gain, seed, subject, visit))
        brain, *masks = (np.pad(mask, [(side, side) for side in margin]) for mask in (brain, first, *others))
        yield SimulatedScan(acquisition.widened(margin).grid, whole, brain, tuple(masks))
