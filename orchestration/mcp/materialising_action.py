"""Materialise: one partition of a job that trades nothing and promotes nothing."""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import dagster as dg

from orchestration.mcp.planning import Draft
from orchestration.run_recovery import PROCESS_TAG
from orchestration.services import Services
from orchestration.system import IN_PROCESS, SERVING, WORKSPACE, dagster_instance, is_served
from sensors.failures import failure_note
from trading.errors import InvalidValue, MarketloomError
from trading.stores.postgres.tool_plans import ToolPlan

# Neither `decide` nor `rebalance`, which order, nor `promotion`, which chooses what trades, nor `learning`, which takes
# hours and gives a promotion its evidence.
JOBS = (
    "market_setup", "history", "order_books", "news", "backtest", "daily_performance", "daily_portfolio", "daily_parity"
)  # fmt: skip
MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Materialising:
    """A run like one that is launched in the UI; where no `marketloom dev` could take it, one of this process."""

    name: str = "materialise"

    def draft(self, services: Services, request: Mapping[str, Any]) -> Draft:
        """Say which assets would be made again. InvalidValue for another job, or a partition that it has not."""
        job_name, partition = str(request["job"]), str(request["partition"])
        if job_name not in JOBS:
            raise InvalidValue(f"{job_name!r} cannot be run from here: there are {', '.join(JOBS)}")
        job = _job(services, job_name)
        with _instance(services) as instance:
            _check_partition(job, job_name, partition, instance)
        facts = self.facts(services, {"job": job_name})
        assets = facts["assets"]
        return Draft(
            request={"job": job_name, "partition": partition},
            facts=facts,
            words=(
                f"Materialise {', '.join(assets)}{f', partition {partition}' if partition else ''}, of the data "
                f"{services.dataset}: what is stored of it is replaced as a whole. Sources may be asked over the "
                "network, and judging news may cost what the budget of language models allows."
            ),
        )

    def facts(self, services: Services, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rest on the data set and on the assets that the job makes."""
        keys = _job(services, request["job"]).asset_layer.selected_asset_keys
        return {"dataset": services.dataset, "assets": sorted(key.to_user_string() for key in keys)}

    def carry_out(self, services: Services, plan: ToolPlan) -> Mapping[str, Any]:
        """Put the run into the queue of the home's daemon, which goes on with it whatever becomes of this process.

        Without a daemon nobody would take it: it is run here to its end. MarketloomError where that fails, or it cannot
        be submitted.
        """
        if is_served(services.home):
            return _submit(services, plan)
        return _run_here(services, plan)


def _submit(services: Services, plan: ToolPlan) -> dict[str, Any]:
    """Create the run at the code server that `marketloom dev` runs, and submit it as Dagster's own command does."""
    from dagster._cli.job import execute_launch_command
    from dagster_shared.cli import WorkspaceOpts

    workspace = WorkspaceOpts(workspace=[str(Path(os.environ["DAGSTER_HOME"]) / WORKSPACE)])
    partition, partitions = plan.request["partition"], _job(services, plan.request["job"]).partitions_def
    of_partition = partitions.get_tags_for_partition_key(partition) if partitions else {}
    tags = {**_tags(plan), **of_partition}
    with _instance(services, SERVING) as instance, warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Non-compliant tag keys", DeprecationWarning
        )  # they are Dagster's own
        try:
            run = execute_launch_command(
                instance=instance,
                workspace_opts=workspace,
                job_name=plan.request["job"],
                tags=json.dumps(tags),
            )
        except (click.ClickException, dg.DagsterError) as error:
            raise MarketloomError(f"`marketloom dev` did not take the run: {error}") from error
    return {
        "run_id": run.run_id,
        "outcome": "queued as from the UI: `status` and the UI show what becomes of it",
    }


def _run_here(services: Services, plan: ToolPlan) -> dict[str, Any]:
    job = _job(services, plan.request["job"])
    with _instance(services) as instance:
        done = job.execute_in_process(
            instance=instance,
            partition_key=plan.request["partition"] or None,
            tags={PROCESS_TAG: str(os.getpid()), **_tags(plan)},
            raise_on_error=False,
        )
        if not done.success:
            note = failure_note(instance, done.dagster_run)
            raise MarketloomError(f"run {done.run_id} failed: {note.reason}; the UI shows all of it")
    return {"run_id": done.run_id}


def _tags(plan: ToolPlan) -> dict[str, str]:
    return {"marketloom/plan": plan.plan_id}


def _job(services: Services, name: str) -> dg.JobDefinition:
    from orchestration.definitions import definitions  # loads every asset, which takes a second

    return definitions(services.settings).resolve_job_def(name)


@contextmanager
def _instance(services: Services, config: str = IN_PROCESS) -> Iterator[dg.DagsterInstance]:
    instance = dagster_instance(services.settings, config)
    try:
        yield instance
    finally:
        instance.dispose()


def _check_partition(job: dg.JobDefinition, name: str, partition: str, instance: dg.DagsterInstance) -> None:
    if job.partitions_def is None:
        if partition:
            raise InvalidValue(f"{name} has no partitions: leave the partition out")
        return
    keys = job.partitions_def.get_partition_keys(dynamic_partitions_store=instance)
    if partition not in keys:
        newest = ", ".join(keys[-MAX_SHOWN:])
        raise InvalidValue(f"{name} has no partition {partition[:60]!r}; its newest are {newest}")


MATERIALISE = Materialising()
