"""A question put on the command line or in a case, as a surface would understand it."""

from __future__ import annotations

from pdp.model import Query
from pdp.runtime.load import Loaded
from pdp.surfaces.questions import QuestionBody, read_question
from pdp.surfaces.target import exempting


def understand(body: QuestionBody, loaded: Loaded, *, presented: bool) -> Query:
    """The canonical question, or RequestError naming its field.

    `presented` tells that there is a credential. A subject without one is vouched for.
    """
    vouched = not presented and (body.subject is not None or not loaded.authenticator.configured)
    return read_question(body, vouched=vouched, exempt=exempting(loaded.server.exempt_targets))
