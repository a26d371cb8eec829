from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter

import httpx
import pytest

import locus_stem.api
from locus_stem.api import (
    ApiError,
    FatalError,
    Metrics,
    RateLimitedError,
    RefusedError,
    RetriableError,
    errors,
)
from locus_stem.api.granularity import (
    GRANULARITIES,
    INTERVAL_GRANULARITIES,
    fixed_step,
    is_below_daily,
    limit,
)


def test_the_public_names_are_these() -> None:
    assert locus_stem.api.__all__ == [
        "LOCUS_ENDPOINTS",
        "STEM_ENDPOINTS",
        "Answer",
        "ApiError",
        "AsyncLocusClient",
        "AsyncStemClient",
        "AuthenticationError",
        "BadRequestError",
        "Call",
        "ConfigurationError",
        "Endpoint",
        "ExcessiveAnswerError",
        "FatalError",
        "LocusClient",
        "LocusCredentials",
        "LocusEndpoints",
        "LocusStemError",
        "MalformedAnswerError",
        "Metrics",
        "NotFoundError",
        "Outcome",
        "OversizedAnswerError",
        "PermissionDeniedError",
        "Pipeline",
        "RateLimitedError",
        "RedirectedError",
        "RefusedError",
        "RetriableError",
        "ServerError",
        "StemClient",
        "StemCredentials",
        "StemEndpoints",
        "StemNoData",
        "StemNoResults",
        "StemStreamUnavailable",
        "TokenRejectedError",
        "TransportError",
        "answers",
    ]
    assert all(hasattr(locus_stem.api, name) for name in locus_stem.api.__all__)


def test_the_layer_imports_neither_airflow_nor_tables() -> None:
    heavy = "{'airflow', 'pyarrow', 'deltalake'}"
    code = f"import sys, locus_stem.api; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_api_error_belongs_to_one_way_of_recovery_and_survives_a_pickle() -> None:
    leaves = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, ApiError)]
    for leaf in leaves:
        if leaf is not ApiError:
            assert sum(issubclass(leaf, way) for way in (FatalError, RefusedError, RetriableError)) == 1
        error = leaf("problem", path="/v3/x", status=418)
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(copy), str(copy), copy.path, copy.status) == (leaf, str(error), "/v3/x", 418)


def test_an_error_says_path_problem_and_what_to_do() -> None:
    error = RateLimitedError("HTTP 429", path="/v3/x", status=429, retry_after=500)
    assert str(error).startswith("/v3/x: HTTP 429. Run it again later;")
    assert str(error).endswith("the API asks to wait 500 s")


def test_granularities_have_the_steps_and_limits_of_the_reference() -> None:
    table = {
        name: (step and step.total_seconds(), longest and longest.days)
        for name in GRANULARITIES
        for step, longest in [(fixed_step(name), limit(name))]
    }
    assert table == {
        "latest": (None, None),
        "1min": (60, 5),
        "5min": (300, 31),
        "15min": (900, 31),
        "hourly": (3600, 31),
        "daily": (None, 365),
        "monthly": (None, None),
        "yearly": (None, None),
    }
    assert [name for name in INTERVAL_GRANULARITIES if is_below_daily(name)] == [
        "1min",
        "5min",
        "15min",
        "hourly",
    ]
    with pytest.raises(ValueError, match="granularity: 'weekly' is unknown; allowed: latest, 1min"):
        limit("weekly")


def test_metrics_count_everything_that_was_sent(asker, api, refused) -> None:  # type: ignore[no-untyped-def]
    call = locus_stem.api.LocusEndpoints.get_site.request(site_id=1)
    api.seconds = 2.0
    api.steps.extend(
        [
            refused(429),
            httpx.ReadError("x"),
            httpx.ReadTimeout("x"),
            httpx.RemoteProtocolError("x"),
            httpx.ConnectError("x"),
        ]
    )
    asker.use().ask(call)
    counted = asker.client.metrics.snapshot()
    assert counted.by_status == Counter(
        {200: 2, 429: 1, "reset": 1, "timeout": 1, "cut-off": 1, "connect": 1}
    )
    assert (counted.requests, counted.retries) == (7, 5)
    assert counted.api_seconds == pytest.approx(14.0)

    asker.ask(call)
    later = asker.client.metrics.snapshot() - counted
    assert (later.requests, later.by_status, later.retries) == (1, Counter({200: 1}), 0)
    assert later.api_seconds == pytest.approx(2.0)
    assert asker.client.metrics.take().requests == 8
    assert asker.client.metrics.take() == Metrics()


def test_no_line_is_logged_about_a_request(asker, caplog) -> None:  # type: ignore[no-untyped-def]
    caplog.set_level("DEBUG")
    asker.use().ask(locus_stem.api.LocusEndpoints.get_site.request(site_id=1))
    assert [record for record in caplog.records if record.name.startswith(("httpx", "locus_stem"))] == []
