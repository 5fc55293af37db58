"""What came of a sweep's jobs, and where each of them says it."""

import sys
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus

from joint_seg_cls.run_state import LOG, run_state
from joint_seg_cls.runs.plan import Plan

#: Where the local launcher keeps what each job says, in the collection.
LOGS = "studies/logs"


def job_name(plan: Plan) -> str:
    """Return what a run's job is called: on a cluster, and in the name of what its process says."""
    return plan.place.folder.replace("/", "_")


def refuse_failures(plans: Sequence[Plan], returned: Sequence[JobReturn], reason: str) -> None:
    """List the runs that are not done, each with what it said and where it said it.

    Args:
        plans: all that were launched.
        returned: what their jobs returned.
        reason: why the launcher stopped before its time; empty where it did not.

    Raises:
        SystemExit: there are some.
    """
    said = dict.fromkeys(range(len(plans)), "")
    said |= {number: _error(each) for number, each in enumerate(returned)}
    states = [(number, plan, run_state(plan.place.path)) for number, plan in enumerate(plans)]
    missing = [(number, plan, state) for number, plan, state in states if state.state != "done"]
    if not missing:
        return
    lines = [f"{len(missing)} of {len(plans)} runs are not done; the same command goes on with them:"]
    for number, plan, state in missing:
        logs = [plan.place.collection_path / LOGS / f"{job_name(plan)}.txt", plan.place.path / LOG]
        log = next((f"; see {path}" for path in logs if path.is_file()), "")
        lines.append(
            f"  {plan.place.folder}: {state.state}: {said[number] or state.reason or reason or 'it was stopped'}{log}"
        )
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1)


def last_line(error: Exception) -> str:
    """Return what an error says at its end, or its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def _error(returned: JobReturn) -> str:
    if returned.status is not JobStatus.FAILED:
        return ""
    try:
        _ = returned.return_value
    except Exception as error:  # noqa: BLE001 - whatever the job raised
        return last_line(error)
    return ""
