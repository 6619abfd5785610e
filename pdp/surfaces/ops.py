"""Health and metrics: for probes and for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from pdp.errors import Problem
from pdp.model import Answer
from pdp.runtime.fetch import JwksSource
from pdp.runtime.service import Service
from pdp.surfaces.context import Context, plain
from pdp.surfaces.requests import Request

Handler = Callable[[Request], Awaitable[Answer]]


def _json(status: int, value: Any) -> Answer:
    return plain(status, msgspec.json.encode(value))


def livez(_context: Context) -> Handler:
    """Whether the process answers at all."""

    async def handle(_request: Request) -> Answer:
        return _json(200, {"status": "ok"})

    return handle


def readyz(context: Context, *, admin: bool) -> Handler:
    """Whether it can decide: a policy is loaded, and every issuer's keys are usable.

    Problems are told in full to `admin` only; to others by file, line and code.
    """
    told = str if admin else _place

    async def handle(_request: Request) -> Answer:
        keys, ready = _key_states(context.service), is_ready(context.service)
        watch = context.service.watch
        body = {
            "status": "ready" if ready else "not_ready",
            "policy_revision": context.service.snapshot.revision,
            "stale": [told(p) for p in context.service.stale],
            # What is made of several files has the same problems in each of them.
            **{f"{k}_stale": [*dict.fromkeys(map(told, watch.problems(k)))] for k in watch.kinds},
            "keys": keys,
        }
        return _json(200 if ready else 503, body)

    return handle


def is_ready(service: Service) -> bool:
    """Whether every issuer's keys are usable, and the service is not about to end."""
    return all(k["loaded"] for k in _key_states(service).values()) and not service.stopping


def _key_states(service: Service) -> dict[str, dict[str, Any]]:
    return {issuer: _key_state(source) for issuer, source in service.loaded.sources.items()}


def _place(problem: Problem) -> str:
    line = "" if problem.line is None else f":{problem.line}"
    return f"{problem.file}{line} {problem.code}"


def _key_state(source: Any) -> dict[str, Any]:
    if isinstance(source, JwksSource):
        state = source.state()
        age = None if state.age_seconds is None else round(state.age_seconds)
        return {
            "loaded": state.loaded,
            "age_seconds": age,
            "failures": state.failures,
            "problem": state.problem,
            "stale": state.stale,
        }
    return {"loaded": True}


def metrics(context: Context) -> Handler:
    """All metrics, in the Prometheus text format."""

    async def handle(_request: Request) -> Answer:
        body = await context.service.metrics.whole()
        return plain(200, body, "text/plain; version=0.0.4; charset=utf-8")

    return handle
