"""The entry of a planned run in a study; not in :mod:`.study`, so that ``jsc status`` does not import torch."""

from joint_seg_cls.runs.plan import Plan
from joint_seg_cls.sweep.study import StudyRun


def study_run(plan: Plan) -> StudyRun:
    """Return the entry of a planned run."""
    where = plan.location
    settings = list(where.settings)
    return StudyRun(where.folder, where.variant, where.base, settings, where.fold, where.seed, plan.overrides)
