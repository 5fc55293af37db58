"""Results of the jobs of a sweep, and the paths of their logs."""

import sys
from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus

from joint_seg_cls.run_state import LOG, run_state
from joint_seg_cls.runs.plan import Plan

#: Folder of the local launcher's job output, relative to the collection.
LOGS = "studies/logs"


def job_name(plan: Plan) -> str:
    """Return the job name of a run, used on a cluster and for its output file."""
    return plan.location.folder.replace("/", "_")


def refuse_failures(plans: Sequence[Plan], returned: Sequence[JobReturn], reason: str) -> None:
    """List the unfinished runs with their errors and logs.

    Args:
        plans: the launched runs.
        returned: the results of their jobs.
        reason: why the launcher stopped early; empty if it did not stop early.

    Raises:
        SystemExit: a run is unfinished.
    """
    errors = dict(enumerate(map(failure, returned)))
    states = [(number, plan, run_state(plan.location.path)) for number, plan in enumerate(plans)]
    missing = [(number, plan, state) for number, plan, state in states if state.state != "done"]
    if not missing:
        return
    lines = [f"{len(missing)} of {len(plans)} runs are unfinished; repeat the command to continue them:"]
    for number, plan, state in missing:
        error = errors.get(number)
        why = (last_line(error) if error else "") or state.reason or reason or "stopped"
        logs = [plan.location.collection_path / LOGS / f"{job_name(plan)}.txt", plan.location.path / LOG]
        log = next((f"; see {path}" for path in logs if path.is_file()), "")
        lines.append(f"  {plan.location.folder}: {state.state}: {why}{log}")
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1)


def last_line(error: Exception) -> str:
    """Return the last line of an error's message, or its class if the message is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


def failure(returned: JobReturn) -> Exception | None:
    """Return the exception of a failed job; None if it succeeded."""
    if returned.status is not JobStatus.FAILED:
        return None
    try:
        _ = returned.return_value
    except Exception as error:  # noqa: BLE001 - the job may raise anything
        return error
    return None
