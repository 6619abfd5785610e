"""For applications that ask a policy decision point: an async client, and aiohttp's middleware."""

from pdp.client.asking import Pdp, Semantic
from pdp.client.errors import BadQuestion, NotUnderstood, PdpError, Refused, Unreachable
from pdp.client.middleware import VERDICT, Guard, require
from pdp.client.request_ids import request_id
from pdp.client.values import (
    Action,
    Decision,
    Evaluation,
    Resource,
    Response,
    Subject,
    Verdict,
)

__all__ = [
    "VERDICT",
    "Action",
    "BadQuestion",
    "Decision",
    "Evaluation",
    "Guard",
    "NotUnderstood",
    "Pdp",
    "PdpError",
    "Refused",
    "Resource",
    "Response",
    "Semantic",
    "Subject",
    "Unreachable",
    "Verdict",
    "request_id",
    "require",
]
