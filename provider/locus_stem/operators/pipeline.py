"""Operators of the pipelines: plan, extract, load and report a backfill; refresh the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, TaskInstanceState

from locus_stem.config import account_lake_uri
from locus_stem.hooks.locus import LocusHook
from locus_stem.operators.run_day import run_day
from locus_stem.operators.turns import final_errors, give_slot_back

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


class LocusOperator(BaseOperator):
    """A task of one Locus account: its connection and its lake.

    :param conn_id: connection of type ``locus`` (templated).
    :param lake_uri: address of the lake (templated); empty: ``[locus_stem] lake_uri``, for another connection than
        the default one a folder named after it in there.
    """

    template_fields: Sequence[str] = ("conn_id", "lake_uri")

    def __init__(
        self, *, conn_id: str = LocusHook.default_conn_name, lake_uri: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.lake_uri = lake_uri

    def lake(self) -> Lake:
        """Open the lake.

        :raises locus_stem.tables.lake.LakeError: the address is wrong.
        """
        from locus_stem.tables.lake import Lake

        return Lake(self.lake_uri or account_lake_uri(self.conn_id, LocusHook.default_conn_name))

    def hook(self) -> LocusHook:
        """Give the connection's hook."""
        return LocusHook(self.conn_id)


class LocusInventoryOperator(LocusOperator):
    """Bring clients, sites, components and their details into the lake, as fresh as asked.

    :param detail_max_age_days: details (install info, model settings, available data) fetched less than so many days
        ago are not asked for again (templated).
    :return: rows new, changed and unchanged by table; what was refused; requests.
    """

    template_fields: Sequence[str] = (*LocusOperator.template_fields, "detail_max_age_days")

    def __init__(self, *, detail_max_age_days: int | str = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.detail_max_age_days = detail_max_age_days

    def execute(self, context: Context) -> dict[str, Any]:
        """Fetch and load until done or the turn is over."""
        from datetime import UTC, datetime

        from locus_stem.pipelines.inventory import refresh_inventory
        from locus_stem.pipelines.slot import Turn

        with final_errors():
            hook, lake = self.hook(), self.lake()
            lake.check()
            with hook.get_conn() as client:
                turn = Turn(client)
                first_turn = context["ti"].get_first_reschedule_date(context)
                result = refresh_inventory(
                    lake,
                    hook.partner_id,
                    datetime.now(UTC).date(),
                    turn,
                    detail_max_age_days=int(self.detail_max_age_days),
                    began=first_turn.date() if first_turn else None,
                )
                self._record(lake, context, turn, result)
        if result.left:
            give_slot_back(turn.wait_left)
        return {table: str(counts) for table, counts in result.counts.items()}

    def _record(self, lake: Lake, context: Context, turn: Turn, result: Any) -> None:
        from locus_stem.pipelines.report import record_turn

        for line in record_turn(lake, _owner(context), turn.usage(), result):
            self.log.info("%s", line)


class LocusPlanBackfillOperator(LocusOperator):
    """Turn the run's params into the fewest data requests, written to staging in batches.

    The run's params are those of the DAG ``locus_daily_backfill``.

    :return: the batches' addresses; an ``extract`` task each.
    """

    def execute(self, context: Context) -> list[str]:
        """Plan and write the batches."""
        from locus_stem.pipelines.slot import Turn

        with final_errors():
            hook, lake = self.hook(), self.lake()
            lake.check()
            partner_id = hook.partner_id
            with hook.get_conn() as client:
                turn = Turn(client)
                planned = self.plan(lake, partner_id, turn, context)
        if planned.staging is None:
            give_slot_back(turn.wait_left)
        context["ti"].xcom_push(key=STAGING_KEY, value=planned.staging)
        return planned.batches

    def plan(self, lake: Lake, partner_id: int, turn: Turn, context: Context) -> Planned:
        """Plan the run."""
        from locus_stem.pipelines.plan import plan_daily_backfill, scope

        dag_run = context["dag_run"]
        return plan_daily_backfill(
            lake,
            context["params"],
            partner_id,
            scope(dag_run.dag_id, dag_run.run_id),
            run_day(context),
            turn,
            scheduled=dag_run.run_type == "scheduled",
            try_number=context["ti"].try_number,
        )


class LocusExtractOperator(LocusOperator):
    """Extract one batch of data requests into staging.

    A retry, and a turn after the slot was given back, go on where the last one stopped.

    :param batch: address of the batch, from the plan.
    """

    template_fields: Sequence[str] = (*LocusOperator.template_fields, "batch")

    def __init__(self, *, batch: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Context) -> None:
        """Ask for what isn't in staging yet."""
        from locus_stem.pipelines.extract import extract_batch
        from locus_stem.pipelines.slot import Turn
        from locus_stem.planning.backfill import DataRequest
        from locus_stem.tables.staging import Staging

        with final_errors():
            hook, lake = self.hook(), self.lake()
            folder, _, name = self.batch.rpartition("/")
            staging = Staging.at(lake, folder)
            requests = [DataRequest.from_json(item) for item in staging.read_json(f"{name}.json")]
            number = int(name.removeprefix("batch-"))
            with hook.get_conn() as client:
                turn = Turn(client)
                left = extract_batch(
                    requests, staging.batch(number), turn, _owner(context), self.source(staging)
                )
        if left:
            give_slot_back(turn.wait_left)

    def source(self, staging: Staging) -> Source:  # noqa: ARG002
        """Give what puts the requests and reads their answers."""
        from locus_stem.pipelines.extract import Measurements

        return Measurements()


class LoadBackfillOperator(LocusOperator):
    """Load what a run has staged, atomically a month, and record its coverage.

    :param staging: address of the run's staging (templated).
    :return: rows new, changed, unchanged and withdrawn; entities and fields skipped, with the reasons.
    """

    template_fields: Sequence[str] = (*LocusOperator.template_fields, "staging")

    def __init__(self, *, staging: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.staging = staging

    def execute(self, context: Context) -> dict[str, Any]:
        """Load, and say what it did."""
        from locus_stem.tables.staging import Staging

        with final_errors():
            lake = self.lake()
            loaded = self.load(lake, Staging.at(lake, self.staging)).to_json()
        return {**loaded, "try_number": context["ti"].try_number}

    def load(self, lake: Lake, staging: Staging) -> Loaded:
        """Load the staged parts."""
        from locus_stem.pipelines.load import load_backfill

        return load_backfill(lake, staging)


class ReportBackfillOperator(LocusOperator):
    """Report a run in the log and in the table `runs`, remove its staging, and give the run its verdict.

    :param plan_task_id: task that planned.
    :param load_task_id: task that loaded.
    """

    def __init__(self, *, plan_task_id: str = "plan", load_task_id: str = "load", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.load_task_id = load_task_id

    def execute(self, context: Context) -> None:
        """Report, clean up and judge."""
        from locus_stem.pipelines.plan import scope
        from locus_stem.pipelines.report import report_backfill
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
        succeeded = states.get(self.load_task_id) == TaskInstanceState.SUCCESS
        loaded = ti.xcom_pull(task_ids=self.load_task_id) if succeeded else None
        with final_errors():
            lake = self.lake()
            try:
                report = report_backfill(
                    lake,
                    Staging.at(lake, address),
                    loaded,
                    {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id},
                )
            except StagingError:
                if loaded is None:
                    raise
                self.log.info("The run is loaded and was reported before its staging was removed")
                return
        for line in report.text.splitlines():
            self.log.info("%s", line)
        if report.done:
            remove_staging(lake, scope(dag_run.dag_id, dag_run.run_id))
        if report.failure:
            raise AirflowFailException(report.failure)


def _owner(context: Mapping[str, Any]) -> dict[str, Any]:
    """Name the task that uses the API, as in the key of the table `runs`."""
    ti = context["ti"]
    return {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
        "try_number": ti.try_number,
    }
