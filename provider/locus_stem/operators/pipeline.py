"""The tasks that every pipeline has: plan, extract, load and report, for whichever vendor and data."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, TaskInstanceState

from locus_stem.operators.account import AccountOperator, FetchOperator
from locus_stem.operators.retries import known_causes
from locus_stem.operators.turns import give_slot_back

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from locus_stem.pipelines.extract import Source
    from locus_stem.pipelines.load import Loaded
    from locus_stem.pipelines.plan import Planned
    from locus_stem.pipelines.slot import Turn
    from locus_stem.tables.lake import Lake
    from locus_stem.tables.staging import Staging

#: Key of the XCom that holds the address of a run's staging.
STAGING_KEY = "staging"


class PlanOperator(FetchOperator):
    """Turn the run's params into the fewest data requests, written to staging in batches.

    ``tables`` names those that it refreshes to plan.

    :return: the batches' addresses; an extract task each.
    """

    def execute(self, context: Context) -> list[str]:
        """Plan and write the batches."""
        from locus_stem.pipelines.plan import scope, usage_kept
        from locus_stem.pipelines.slot import Turn
        from locus_stem.pipelines.written import add_written

        with known_causes(context):
            hook, lake = self.hook(), self.lake()
            lake.check()
            dag_run = context["dag_run"]
            run_scope = scope(dag_run.dag_id, dag_run.run_id)
            with hook.get_conn() as client:
                turn = Turn(client)
                with usage_kept(lake, run_scope, turn):
                    planned = self.plan(lake, turn, context)
            written, endpoints = add_written(lake, run_scope, planned.counts, turn.endpoints)
        if planned.staging is None:
            give_slot_back(turn.wait_left)
        self.wrote(context, lake, written, endpoints=endpoints)
        context["ti"].xcom_push(key=STAGING_KEY, value=planned.staging)
        return planned.batches

    @abstractmethod
    def plan(self, lake: Lake, turn: Turn, context: Context) -> Planned:
        """Plan the run."""


class ExtractOperator(FetchOperator):
    """Extract one batch of data requests into staging.

    A retry, and a turn after the slot was given back, go on where the last one stopped.

    :param batch: address of the batch, from the plan.
    """

    template_fields: Sequence[str] = (*AccountOperator.template_fields, "batch")

    def __init__(self, *, batch: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Ask for what isn't in staging yet."""
        from locus_stem.pipelines.batch_state import requests_of
        from locus_stem.pipelines.extract import extract_batch
        from locus_stem.pipelines.slot import Turn
        from locus_stem.tables.staging import Staging

        with known_causes(context):
            hook, lake = self.hook(), self.lake()
            lake.check()  # what is asked for must find room
            folder, _, name = self.batch.rpartition("/")
            staging = Staging.at(lake, folder)
            number = int(name.removeprefix("batch-"))
            requests = requests_of(staging, number)
            with hook.get_conn() as client:
                turn = Turn(client)
                left = extract_batch(
                    requests, staging.batch(number), turn, owner(context), self.source(staging)
                )
            self.asked(staging.read_json("plan.json")["table"])
        if left:
            give_slot_back(turn.wait_left)

    @abstractmethod
    def source(self, staging: Staging) -> Source:
        """Give what puts the requests and reads their answers."""


class LoadOperator(AccountOperator):
    """Load what a run has staged, atomically a month, and record its coverage.

    What was loaded is an event of the table's asset, changed or not; ``tables`` names the plan's table and `coverage`.

    :param staging: address of the run's staging (templated).
    :return: rows new, changed, unchanged and withdrawn; entities and fields skipped, with the reasons; why the run must
        fail nevertheless, if it must.
    """

    template_fields: Sequence[str] = (*AccountOperator.template_fields, "staging")

    def __init__(self, *, staging: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.staging = staging

    def execute(self, context: Context) -> dict[str, Any]:
        """Load, and say what it did."""
        from locus_stem.pipelines.report import refused_too_many
        from locus_stem.pipelines.written import version_before
        from locus_stem.tables.counts import LoadCounts
        from locus_stem.tables.staging import Staging

        with known_causes(context):
            lake = self.lake()
            staging = Staging.at(lake, self.staging)
            plan = staging.read_json("plan.json")
            before = version_before(lake, staging, plan["table"])
            loaded = self.load(lake, staging)
        about = {**loaded.span, "granularity": plan["granularity"], "level": plan["level"]}
        if loaded.span:
            self.wrote(context, lake, {plan["table"]: loaded.counts}, version_before=before, **about)
        if loaded.coverage != LoadCounts():
            self.wrote(context, lake, {"coverage": loaded.coverage}, source=plan["table"], **about)
        result = loaded.to_json()
        failure = refused_too_many(plan, result)
        return {**result, "try_number": context["ti"].try_number, "failure": failure}

    @abstractmethod
    def load(self, lake: Lake, staging: Staging) -> Loaded:
        """Load the staged parts."""


class ReportOperator(AccountOperator):
    """Report a run in the log and in the table `runs`, remove its staging, and give the run its verdict.

    :param plan_task_id: task that planned.
    :param load_task_id: task that loaded.
    """

    tables = ("runs",)

    def __init__(self, *, plan_task_id: str = "plan", load_task_id: str = "load", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.load_task_id = load_task_id

    def execute(self, context: Context) -> None:
        """Report, clean up and judge."""
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.report import Report, report_backfill
        from locus_stem.tables.counts import LoadCounts
        from locus_stem.tables.staging import Staging, StagingError, remove_staging

        ti, dag_run = context["ti"], context["dag_run"]
        states = ti.get_task_states(
            dag_id=dag_run.dag_id, task_ids=[self.plan_task_id, self.load_task_id], run_ids=[dag_run.run_id]
        )[dag_run.run_id]
        if states.get(self.plan_task_id) != TaskInstanceState.SUCCESS:
            raise AirflowFailException(
                f"The run was not planned: see the log of the task {self.plan_task_id!r}"
            )
        address = ti.xcom_pull(task_ids=self.plan_task_id, key=STAGING_KEY)
        # A load that an earlier clearing left behind has an XCom but not this run's success.
        load_state = states.get(self.load_task_id)
        succeeded = load_state == TaskInstanceState.SUCCESS
        loaded = ti.xcom_pull(task_ids=self.load_task_id) if succeeded else None
        with known_causes(context):
            lake = self.lake()
            try:
                report = report_backfill(
                    lake,
                    Staging.at(lake, address),
                    loaded,
                    {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id},
                )
            except StagingError:  # a try that was killed then, or a task that was cleared later
                if not succeeded and load_state != TaskInstanceState.SKIPPED:
                    raise
                text = "The run was reported before its staging was removed"
                report = Report(text, True, loaded.get("failure") if loaded else None, LoadCounts())
        self.wrote(context, lake, {"runs": report.counts})
        for line in report.text.splitlines():
            self.log.info("%s", line)
        if report.done:
            remove_staging(lake, scope(dag_run.dag_id, dag_run.run_id))
        if report.failure:
            raise AirflowFailException(report.failure)


def owner(context: Mapping[str, Any]) -> dict[str, Any]:
    """Name the task that uses the API, as in the key of the table `runs`."""
    ti = context["ti"]
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
        "try_number": ti.try_number,
    }
