"""The bodies of the AuthZEN API, typed; every complaint names the member and quotes nothing."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from pdp.errors import RequestError
from pdp.model import Credentials, Query
from pdp.surfaces.questions import (
    ActionBody,
    EntityBody,
    QuestionBody,
    parse_object,
    read_credentials,
    read_question,
    typed,
)
from pdp.surfaces.target import Exempt

PARTS: Final[tuple[str, ...]] = ("subject", "action", "resource", "context")
# The decision behind which no further item is judged; None for no end before the last item.
SEMANTICS: Final[dict[str, bool | None]] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}


class EvaluationBody(Struct, frozen=True):
    """`POST /access/v1/evaluation`; unknown members are ignored."""

    subject: EntityBody
    action: ActionBody
    resource: EntityBody
    context: dict[str, Any] = {}


class _DefaultEntity(Struct, frozen=True):
    """What stands for the entity of items that have none; only then must it be complete."""

    type: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET


class _DefaultAction(Struct, frozen=True):
    name: str | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET


class _Options(Struct, frozen=True):
    evaluations_semantic: str = "execute_all"


class _BatchBody(Struct, frozen=True):
    subject: _DefaultEntity | UnsetType = UNSET
    action: _DefaultAction | UnsetType = UNSET
    resource: _DefaultEntity | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    evaluations: list[Any] = []
    options: _Options = _Options()


class Batch(Struct, frozen=True):
    """`POST /access/v1/evaluations`, understood as far as all its items have in common.

    `items` are still to be read one by one, with `defaults`; none of them means one question,
    in `defaults`. `ends_at` is the decision behind which no further item is judged.
    """

    defaults: dict[str, Any]
    items: tuple[Any, ...]
    ends_at: bool | None

    def item(self, index: int) -> EvaluationBody:
        """One question, what it lacks taken from the defaults as a whole; or RequestError."""
        item = self.items[index]
        field = f"evaluations[{index}]"
        if not isinstance(item, dict):
            raise RequestError(field, "must be an object")
        own = {name: item[name] for name in PARTS if name in item}
        try:
            return typed({**self.defaults, **own}, EvaluationBody)
        except RequestError as error:
            raise error.below(f"{field}.") from None


def read_batch(data: bytes, most: int) -> Batch:
    """The batch in a body; RequestError for what concerns all of it."""
    value = parse_object(data)
    body = typed(value, _BatchBody)
    if len(body.evaluations) > most:
        raise RequestError("evaluations", f"holds more than {most} items")
    semantic = body.options.evaluations_semantic
    if semantic not in SEMANTICS:
        known = ", ".join(SEMANTICS)
        raise RequestError("options.evaluations_semantic", f"must be one of {known}")
    defaults = {name: value[name] for name in PARTS if name in value}
    return Batch(defaults, tuple(body.evaluations), SEMANTICS[semantic])


def read_evaluation(
    body: EvaluationBody, *, vouched: bool, exempt: Exempt | None
) -> tuple[Query, Credentials]:
    """The canonical question, and the token that came in its context, which is taken out.

    `vouched` tells that the caller's word counts for properties of the subject: of any other
    caller they are left out, since a PEP may send them with every question.
    """
    subject = body.subject if vouched else EntityBody(body.subject.type, body.subject.id)
    context, credentials = split_context(body.context)
    question = QuestionBody(body.action, body.resource, subject, context)
    return read_question(question, vouched=vouched, exempt=exempt), credentials


def split_context(context: dict[str, Any]) -> tuple[dict[str, Any], Credentials]:
    """The context without its token, and that token.

    INVARIANT: no matcher and no log sees what stands under `token`, whatever it is.
    """
    if "token" not in context:
        return context, Credentials()
    token = context["token"]
    if not isinstance(token, str):
        raise RequestError("context.token", "must be a string")
    try:
        credentials = read_credentials(QuestionBody("", "", token=token))
    except RequestError as error:
        raise error.below("context.") from None
    return {name: value for name, value in context.items() if name != "token"}, credentials
