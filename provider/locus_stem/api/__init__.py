"""The vendors' APIs, Locus Energy v3 and Stem Developer Data: no Airflow, no tables, no planning here."""

from __future__ import annotations

from locus_stem.api.client import Answer, AsyncLocusClient, AsyncStemClient, LocusClient, StemClient
from locus_stem.api.credentials import LocusCredentials, StemCredentials
from locus_stem.api.endpoint import Call, Endpoint
from locus_stem.api.errors import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ExcessiveAnswerError,
    FatalError,
    LocusStemError,
    MalformedAnswerError,
    NotFoundError,
    OversizedAnswerError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    RefusedError,
    RetriableError,
    ServerError,
    StemNoData,
    StemNoResults,
    StemStreamUnavailable,
    TokenRejectedError,
    TransportError,
)
from locus_stem.api.locus import LOCUS_ENDPOINTS, LocusEndpoints
from locus_stem.api.metrics import Metrics
from locus_stem.api.pipeline import Outcome, Pipeline, answers
from locus_stem.api.stem import STEM_ENDPOINTS, StemEndpoints

__all__ = [
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
