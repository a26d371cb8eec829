"""The process from which tries are forked: ``python -m support.try_process`` reads an order a line."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# What a try needs, imported before it is forked; nothing of it has opened a table.
import deltalake  # noqa: F401
import pyarrow.parquet  # noqa: F401
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from locus_stem.dags import LocusAccount, StemAccount, account_dags
from locus_stem.hooks import webhook  # noqa: F401
from locus_stem.operators.retries import is_final
from locus_stem.pipelines import alert_delivery, maintenance, report  # noqa: F401
from support.effects import Effects, KillPoint

log = logging.getLogger(__name__)


class TaskInstance(SimpleNamespace):
    """What the operators ask of a task instance."""

    order: dict[str, Any]
    pushed: dict[str, Any]

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value
        Path(self.order["xcoms_to"]).write_text(json.dumps(self.pushed))

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.order["xcoms"].get(f"{task_ids} -1", {}).get(key)

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> Any:
        states = self.order["states"]
        return {run_ids[0]: {task: states[task] for task in task_ids if task in states}}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return None


def attempt(order: dict[str, Any]) -> None:
    """Do one try of a task."""
    os.environ |= order["environment"]
    folder = Path(order["folder"])
    printed = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(printed, stream)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, force=True)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for place, value in order["settings"].items():
        module, _, name = place.rpartition(".")
        setattr(importlib.import_module(module), name, value)
    kill = KillPoint(**order["kill"]) if order["kill"] else None
    Effects(folder / f"{order['task_id']}.{order['map_index']}.effects", kill)
    dags = {dag.dag_id: dag for dag in account_dags(LocusAccount(), StemAccount())}
    dag = dags[order["dag_id"]]
    operator: Any = dag.get_task(order["task_id"])
    if order["mapped"]:
        operator = operator.unmap(order["mapped"])
    ti = TaskInstance(
        order=order,
        pushed={},
        max_tries=5,
        **{name: order[name] for name in ("dag_id", "run_id", "task_id", "map_index", "try_number")},
    )
    now = datetime.now(UTC)
    run = SimpleNamespace(
        dag_id=order["dag_id"], run_id=order["run_id"], run_type="manual", run_after=now, start_date=now,
        data_interval_start=None, data_interval_end=None, logical_date=None,
    )  # fmt: skip
    params = {**dag.params.dump(), **order["params"]}
    context = {
        "dag": dag, "dag_run": run, "ti": ti, "params": params, "outlet_events": OutletEventAccessors(),
    }  # fmt: skip
    operator.render_template_fields(context)
    try:
        result = operator.execute(context)
    except AirflowRescheduleException:
        ti.xcom_push("state", "rescheduled")
    except AirflowSkipException:
        ti.xcom_push("state", "skipped")
    except Exception as error:
        log.exception("the try failed")
        final = isinstance(error, AirflowFailException) or is_final(error)
        ti.xcom_push("state", "failed" if final else "to be retried")
    else:
        ti.pushed["return_value"] = result
        ti.xcom_push("state", "success")


def main() -> None:
    """Fork a process for each order and write the status with which it ended."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tries print goes elsewhere
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                attempt(json.loads(line))
                status = 0
            except BaseException:
                log.exception("the try's process failed")
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
