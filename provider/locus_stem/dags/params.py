"""Params of the DAGs: their defaults can be changed, and the form of some is the same in several DAGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from locus_stem.planning.params import ParamError, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context, Param


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


def no_others(params: Mapping[str, Param]) -> Callable[[Context], None]:
    """Give a task's ``pre_execute`` that refuses a run whose conf names a param that isn't there."""
    names = tuple(params)

    def refuse(context: Context) -> None:
        try:
            check_names(context["params"], names)
        except ParamError as error:
            raise AirflowFailException(str(error)) from None

    return refuse
