"""Params of the DAGs: their defaults can be changed, and the form of some is the same in several DAGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, Param

from locus_stem.planning.params import ParamError, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context


def with_defaults(params: dict[str, Param], defaults: Mapping[str, Any] | None) -> dict[str, Param]:
    """Give params other defaults.

    :raises ValueError: `defaults` names a param that isn't there.
    """
    defaults = defaults or {}
    if unknown := sorted(defaults.keys() - params.keys()):
        raise ValueError(f"defaults: no such param: {', '.join(unknown)}; there are: {', '.join(params)}")
    for name, value in defaults.items():
        params[name].value = value
    return params


def range_params(first: str, after: str) -> dict[str, Param]:
    """Describe the range of a backfill.

    :param first: what `start` is.
    :param after: what `end` is.
    """
    return {
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Start",
            description=f"{first}. Empty, like End: `lookback_days` before the run's day.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date",
            title="End (exclusive)",
            description=f"{after}. Empty: up to and with the run's day. Needs Start.",
        ),
    }


def run_params() -> dict[str, Param]:
    """Describe what every backfill takes besides."""
    return {
        "lookback_days": Param(
            7,
            type="integer",
            minimum=0,
            maximum=366,
            title="Lookback (days)",
            description="Days before the run's day that are asked again. Counts only where Start and End are empty.",
        ),
        "plan_only": Param(
            False,
            type="boolean",
            title="Plan only",
            description="Log the number of requests and the expected time, and end.",
        ),
    }


def no_others(params: Mapping[str, Param]) -> Callable[[Context], None]:
    """Give a task's ``pre_execute`` that refuses a run whose conf names a param that isn't there."""
    names = tuple(params)

    def refuse(context: Context) -> None:
        try:
            check_names(context["params"], names)
        except ParamError as error:
            raise AirflowFailException(str(error)) from None

    return refuse
