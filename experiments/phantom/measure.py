"""Measurements on simulated subjects, cached so that an interrupted report can continue."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

import joint_seg_cls
from joint_seg_cls.lesions import count_by_place, lesion_places, region_features, template_regions
from joint_seg_cls.phantom import Cohort, simulate_lesions, simulate_scans
from joint_seg_cls.phantom.acquisition import Sampler, draw_acquisition, draw_site
from joint_seg_cls.phantom.anatomy import draw_anatomy
from joint_seg_cls.phantom.parameters import stream
from joint_seg_cls.scan.template import load_template

#: Voxel spacing of lesions and images in the report.
SPACING_MM = 2
#: Minimum distance of lesion-free tissue from lesions.
FREE_MM = 4.0
#: Minimum fraction of a tissue in its voxels.
PURE = 0.9
_CHUNK = 50


def lesion_rows(cohort: Cohort, subjects: int, cache: Path, say: Callable[[str], None]) -> pd.DataFrame:
    """Return one row per subject: facts of its lesions and, with prefix ``f:``, the features of the oracle."""
    regions = template_regions(SPACING_MM)

    def row(subject: int) -> dict:
        drawn, patient = simulate_lesions(cohort, subject, spacing_mm=SPACING_MM)
        places = count_by_place(lesion_places(drawn.mask, regions))
        facts = {"disease": patient.disease, "atypical": patient.atypical, "count": drawn.count, "ml": drawn.volume_ml}
        features = region_features(drawn.mask, regions)
        return facts | {f"n_{name}": n for name, n in places.items()} | {f"f:{k}": v for k, v in features.items()}

    return _cached(cache / f"lesions-{cohort.population.name}-{cohort.seed}.csv", row, subjects, say)


def image_rows(cohort: Cohort, subjects: int, cache: Path, say: Callable[[str], None]) -> pd.DataFrame:
    """Return one row per subject: person, acquisition, and (with prefix ``i:``) intensities of lesion-free tissue."""

    def row(subject: int) -> dict:
        who = cohort.person(subject, 1)
        facts = {"disease": cohort.patient(subject)[1].disease, **{key: who[key] for key in ("site", "age", "sex")}}
        return facts | _scan_row(cohort, subject)

    return _cached(cache / f"images-{cohort.population.name}-{cohort.seed}.csv", row, subjects, say)


def _cached(path: Path, row: Callable[[int], dict], subjects: int, say: Callable[[str], None]) -> pd.DataFrame:
    path = path.parent / _version() / path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    rows = table.to_dict("records")
    for subject in range(len(rows) + 1, subjects + 1):
        rows.append({"subject": subject, **row(subject)})
        if subject % _CHUNK == 0 or subject == subjects:
            pd.DataFrame(rows).to_csv(path, index=False)
            say(f"{path.stem}: {subject}/{subjects}")
    return pd.DataFrame(rows[:subjects])


@lru_cache(maxsize=1)
def _version() -> str:
    """Return a fingerprint of the code and parameters of the rows, so that the cache of other code is not used."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for package in ("scan", "lesions", "phantom"):
        for file in sorted(Path(joint_seg_cls.__path__[0], package).glob("*.*")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _scan_row(cohort: Cohort, subject: int) -> dict[str, float]:
    (scan,) = simulate_scans(cohort, subject, spacing_mm=SPACING_MM, raters=1)
    white, grey = _tissue_shares(cohort, subject, scan.brain_mask)
    spacing = scan.grid.spacing_mm
    lesion = scan.lesion_masks[0]
    apart = ndimage.distance_transform_edt(~lesion, sampling=spacing) if lesion.any() else np.full(lesion.shape, np.inf)
    free = scan.brain_mask & (apart >= FREE_MM)
    flat, field = _without_field(scan.flair.astype(np.float64), scan.brain_mask, free & (white > PURE))
    own = flat[free & (white > PURE)]
    level = float(np.median(own))
    row = {f"voxel_{k}_mm": size for k, size in enumerate(sorted(spacing))}
    row |= {"bias_p99_over_p1": field, "lesion_ml": float(lesion.sum()) * scan.grid.voxel_ml}
    raw = scan.flair[free & (white > PURE)]
    row |= {"i:log_white": float(np.log(np.median(raw))), "i:white_sd": float(own.std() / level)}
    row |= {f"i:white_p{q}": float(np.percentile(own, q) / level) for q in (1, 5, 25, 75, 95, 99)}
    dull = flat[free & (grey > PURE)]
    row |= {f"i:grey_p{q}": float(np.percentile(dull, q) / level) for q in (5, 50, 95)}
    row["i:noise"] = _noise(flat, free & (white > PURE)) / level
    row["i:bias"] = field
    if lesion.any():
        row |= {f"lesion_p{q}": float(np.percentile(flat[lesion], q) / level) for q in (5, 50, 95)}
    fluid = scan.brain_mask & (white + grey < 1 - PURE)
    return row | {"fluid_p50": float(np.median(flat[fluid]) / level) if fluid.any() else np.nan}


def _tissue_shares(cohort: Cohort, subject: int, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractions of white and grey matter in each voxel of the scan, from its anatomy."""
    template = load_template(SPACING_MM)
    anatomy = draw_anatomy(cohort.seed, subject)
    site = draw_site(cohort.seed, subject, cohort.patient(subject)[0].site)
    acquisition = draw_acquisition(site, anatomy, SPACING_MM, stream(cohort.seed, subject, "acquisition", 1))
    sampler = Sampler(acquisition, anatomy, template.grid)
    if not np.array_equal(sampler.brain(template.brain.astype(np.float32)), brain):
        raise RuntimeError(f"the anatomy of subject {subject} was not reproduced")
    white, grey = np.zeros(brain.shape), np.zeros(brain.shape)
    white[brain], grey[brain] = sampler.average(template.white), sampler.average(template.grey)
    return white, grey


def _without_field(flair: np.ndarray, brain: np.ndarray, white: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide by the cubic field fitted to the logarithm of white matter; also return its p99 / p1 in the brain."""

    def terms(mask: np.ndarray) -> np.ndarray:
        x, y, z = (2 * np.argwhere(mask) / np.array(mask.shape) - 1).T
        return np.stack(
            [x**i * y**j * z**k for i in range(4) for j in range(4) for k in range(4) if i + j + k <= 3], axis=1
        )

    weights, *_ = np.linalg.lstsq(terms(white), np.log(np.maximum(flair[white], 1)), rcond=None)
    field = np.exp(terms(brain) @ weights)
    flat = np.zeros_like(flair)
    flat[brain] = flair[brain] / field
    low, high = np.percentile(field, (1, 99))
    return flat, float(high / low)


def _noise(flat: np.ndarray, mask: np.ndarray) -> float:
    """Return the noise's standard deviation from the median difference between neighbours within ``mask``."""
    both = mask[1:] & mask[:-1]
    return float(np.median(np.abs(flat[1:][both] - flat[:-1][both])) / (0.6745 * np.sqrt(2)))
