"""A question put on the command line or in a case, as a surface would understand it."""

from __future__ import annotations

from pdp.model import Query
from pdp.policy.matcher.functions import compile_key_match2
from pdp.runtime.load import Loaded
from pdp.surfaces.questions import QuestionBody, read_question
from pdp.surfaces.target import Exempt


def understand(body: QuestionBody, loaded: Loaded, *, presented: bool) -> Query:
    """The canonical question, or RequestError naming its field.

    `presented` tells that there is a credential. A subject without one is vouched for.
    """
    vouched = not presented and (body.subject is not None or not loaded.authenticator.configured)
    return read_question(body, vouched=vouched, exempt=_exempt(loaded.server.exempt_targets))


def _exempt(targets: tuple[str, ...]) -> Exempt | None:
    patterns = [compile_key_match2(target) for target in targets]
    return (lambda path: any(match(path) for match in patterns)) if patterns else None
