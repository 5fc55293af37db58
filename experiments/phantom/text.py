"""The report's numbers as Markdown."""

#: Ranges of the literature and of real scans that the cohorts are drawn to meet (white matter = 1).
EXPECTED = {
    "lesion median": "1.36-1.90",
    "lesion p5": "1.12-1.20",
    "lesion p95": "1.71-2.25",
    "grey matter": "1.07-1.19",
    "fluid": "0.13-0.30",
    "white matter sd": "0.07-0.11",
    "noise sd": "0.010-0.046",
    "bias p99/p1": "1.50-1.66",
}


def as_markdown(results: dict) -> str:
    """Return the report as a fragment of a page."""
    parts = [
        f"{results['subjects']} subjects a cohort at 2 mm, seed {results['seeds'][0]}; "
        "`python experiments/phantom/report.py`.",
        *(_lesions(results["lesions"]) if "lesions" in results else []),
        *(_density(results["density"]) if "density" in results else []),
        *(_shortcuts(results) if "shortcuts" in results else []),
        *(_image(results["image"]) if "image" in results else []),
    ]
    return "\n\n".join(parts) + "\n"


def _lesions(lesions: dict) -> list[str]:
    caps = [
        "| cohort | oracle: AUC of the true lesions' features by region (95 %) | lesion load alone: AUC (95 %) |",
        "|---|---|---|",
        *(f"| `{name}` | {_interval(row['oracle'])} | {_interval(row['load'])} |" for name, row in lesions.items()),
    ]
    loads = [
        "| cohort | disease | with lesions | lesions: p10 / p25 / p50 / p75 / p90 | mL: p10 / p25 / p50 / p75 / p90 "
        "| share of lesions: infratentorial / periventricular / juxtacortical / deep |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in lesions.items():
        for disease in ("MS", "NMOSD"):
            facts = row[disease]
            counts = " / ".join(f"{value:.0f}" for value in facts["count"])
            volumes = " / ".join(f"{value:.2g}" for value in facts["ml"])
            shares = " / ".join(f"{value:.0%}" for value in facts["share_of_count"].values())
            with_lesions = f"{facts['with_lesions']} of {facts['n']}"
            loads.append(f"| `{name}` | {disease} | {with_lesions} | {counts} | {volumes} | {shares} |")
    return ["\n".join(caps), "\n".join(loads)]


def _density(density: dict) -> list[str]:
    return [
        f"MS lesion density of {density['patients']} simulated patients (`lifelike`) against that of 30 real ones, "
        f"inside the brain: r = {density['fwhm_3_mm']:.2f} after smoothing by 3 mm (full width at half maximum), "
        f"{density['sigma_3_mm']:.2f} with a standard deviation of 3 mm."
    ]


def _shortcuts(results: dict) -> list[str]:
    tests = results["shortcuts"]
    lines = [
        f"Permutation tests ({results['permutations']} permutations; Holm over all {len(tests)} tests), mean AUC "
        f"{sum(test['auc'] for test in tests) / len(tests):.3f}:",
        "",
        "| shortcut | cohort | AUC by seed | p by seed | least p after Holm |",
        "|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((test["shortcut"], test["cohort"]) for test in tests):
        own = [test for test in tests if (test["shortcut"], test["cohort"]) == key]
        aucs = ", ".join(f"{test['auc']:.3f}" for test in own)
        ps = ", ".join(f"{test['p']:.3f}" for test in own)
        lines.append(f"| {key[0]} | {key[1]} | {aucs} | {ps} | {min(test['p_holm'] for test in own):.2f} |")
    return ["\n".join(lines)]


def _image(image: dict) -> list[str]:
    lines = ["| FLAIR, white matter = 1 | p5 / p50 / p95 over scans | expected |", "|---|---|---|"]
    for label, values in image.items():
        lines.append(f"| {label} | {' / '.join(f'{value:.3f}' for value in values)} | {EXPECTED[label]} |")
    return ["\n".join(lines)]


def _interval(values: list[float]) -> str:
    return f"{values[0]:.3f} ({values[1]:.3f}-{values[2]:.3f})"
