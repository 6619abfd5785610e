"""Checks that only guards that ask for the subject refuse for want of a better credential."""

from __future__ import annotations

from pdp.errors import Problem
from pdp.model import Reason
from pdp.policy.facts import Source
from pdp.policy.layer import Layer


def check_reason(layer: Layer, file: str) -> list[Problem]:
    """A problem if `reason` stands where it could not be true."""
    if layer.reason is Reason.GUARD_DENIED:
        return []
    if layer.kind == "guard" and Source.SUBJECT in layer.depends:
        return []
    where = "is a grant" if layer.kind == "grant" else "does not ask for the subject"
    message = f"`layers.{layer.name}.reason` is `{layer.reason}`, but the layer {where}"
    help_ = "only a guard whose matcher asks for `r.sub` can want a better credential"
    return [Problem(file, None, "bad-reason", message, help_)]
