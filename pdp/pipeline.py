"""Read this first: how a question becomes a verdict, in seven steps.

1. A surface parses the question, or answers 400; what arrives here is a `Query`.
2. Guards that do not depend on the subject refuse with 403, before anybody is authenticated.
3. The credential becomes an identity, `ANONYMOUS`, or a refusal (mostly a 401).
4. A subject that the asker names must be the credential's (else 403).
5. Guards that depend on the subject must allow.
6. A grant must allow; an explicit deny wins; what `anonymous` may, everybody may. Of whom all
   that allows, guards may want a stronger login.
7. A refusal becomes 401, 404 or 403: would logging in fix it, may the resource be known?
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace

from pdp.identity.attempts import Refuses
from pdp.model import (
    ANONYMOUS,
    Action,
    Credentials,
    Identity,
    Method,
    Outcome,
    Query,
    Reason,
    Rejected,
    Verdict,
    nobody,
)
from pdp.policy.combine import Ground, first_refusal, judge_grants
from pdp.policy.facts import Facts, Source
from pdp.policy.snapshot import Snapshot

Known = tuple[Identity | None, tuple[str, ...]]  # who asks, with all roles
Authenticate = Callable[[Credentials, float, Refuses], Awaitable[Identity | Rejected]]


async def judge(
    query: Query,
    credentials: Credentials,
    authenticate: Authenticate,
    snapshot: Snapshot,
    now: float,
) -> Verdict:
    """All seven steps, for a credential that is still to be verified."""
    question = Question(query, snapshot, now)
    entered = question.enter()
    if isinstance(entered, Verdict):
        return entered
    return question.conclude(await authenticate(credentials, now, question.refuses), entered)


def decide(query: Query, identity: Identity | Rejected, snapshot: Snapshot, now: float) -> Verdict:
    """All steps but the third, for an identity that is already established; pure."""
    question = Question(query, snapshot, now)
    entered = question.enter()
    return entered if isinstance(entered, Verdict) else question.conclude(identity, entered)


class Question(Struct, frozen=True):
    """A query put to one snapshot at one time, in Unix seconds."""

    query: Query
    snapshot: Snapshot
    now: float

    def enter(self) -> Verdict | Ground | None:
        """Step 2: a verdict, or a refusal that must wait lest it reveal, or None."""
        guards = self.snapshot.early_guards
        refusal = first_refusal(guards, self.facts(ANONYMOUS)) if guards else None
        if refusal is None or self._waits(refusal):
            return refusal
        return self._verdict(Outcome.FORBIDDEN, refusal)

    def conclude(self, identity: Identity | Rejected, waiting: Ground | None) -> Verdict:
        """Steps 4 to 7; `waiting` is a refusal of step 2 that had to wait."""
        if isinstance(identity, Rejected):
            ground = Ground(identity.reason, detail=identity.detail)
            verdict = self._verdict(identity.outcome, ground)
            return replace(verdict, retry_after=identity.retry_after)
        facts = self.facts(identity)
        refused = self.snapshot.refuses(self.query, identity, facts)
        if refused:  # a cookie, which nobody chose to send, then counts as none
            cookie = identity.method is Method.SESSION
            return self.conclude(nobody(refused) if cookie else refused, waiting)
        known = identity, self.snapshot.roles(facts)
        if identity.authenticated and self._named_another(identity):
            return self._verdict(Outcome.FORBIDDEN, Ground(Reason.SUBJECT_MISMATCH), known)
        refusal = waiting or first_refusal(self.snapshot.late_guards, facts)
        ground = refusal or self.grant(identity, facts)
        if ground.allows:
            ground = first_refusal(self.snapshot.step_ups, facts) or ground
        if ground.allows:
            return self._verdict(Outcome.ALLOW, ground, known)
        return self._verdict(*self._refuse(identity, facts, ground), known)

    def refuses(self, identity: Identity) -> Rejected | None:
        """Why nobody may go by this identity here, however good its credential."""
        return self.snapshot.refuses(self.query, identity, self.facts(identity))

    def facts(self, identity: Identity) -> Facts:
        """What is known when `identity` asks."""
        return self.snapshot.facts(self.query, identity, self.now)

    def _waits(self, refusal: Ground) -> bool:
        depends = refusal.layer.depends if refusal.layer else frozenset()
        return Source.RESOURCE in depends and self.snapshot.concealed(self.query)

    def _named_another(self, identity: Identity) -> bool:
        named = self.query.subject
        return named is not None and (named.type, named.id) != (identity.type, identity.id)

    def grant(self, identity: Identity, facts: Facts) -> Ground:
        """Step 6."""
        ground = judge_grants(self.snapshot.grants, facts)
        if ground.reason is Reason.NOT_GRANTED and identity.method is not Method.NONE:
            ground = judge_grants(self.snapshot.grants, self.facts(ANONYMOUS))
            # A deny of `anonymous` is nobody else's: it only means that nothing is public here.
            return replace(ground, reason=Reason.PUBLIC) if ground.allows else _NOT_GRANTED
        public = ground.allows and identity.method is Method.NONE
        return replace(ground, reason=Reason.PUBLIC) if public else ground

    def _refuse(self, identity: Identity, facts: Facts, ground: Ground) -> tuple[Outcome, Ground]:
        """Step 7. INVARIANT: hidden and absent resources take the same way out."""
        snapshot = self.snapshot
        if identity.method is Method.NONE and snapshot.credentialing.configured:
            why = identity.refused or Rejected(Reason.CREDENTIALS_MISSING)
            return why.outcome, replace(ground, reason=why.reason, detail=why.detail)
        if ground.reason is Reason.STEP_UP_REQUIRED:
            return Outcome.UNAUTHENTICATED, ground
        # Both are found out whether they matter or not: the same work, the same time.
        covered, revealed = (
            snapshot.covered(facts),
            bool(snapshot.hidden) and self._revealed(identity),
        )
        if snapshot.concealed(self.query) and not revealed:
            return Outcome.NOT_FOUND, replace(ground, reason=Reason.CONCEALED)
        if not covered:
            hides = snapshot.concealment.unknown_resource == 404  # noqa: PLR2004
            outcome = Outcome.NOT_FOUND if hides else Outcome.FORBIDDEN
            return outcome, replace(ground, reason=Reason.RESOURCE_UNKNOWN)
        return Outcome.FORBIDDEN, ground

    def _revealed(self, identity: Identity) -> bool:
        """Whether the subject may do the revealing action, so that there is nothing to hide."""
        reveal = Action(self.snapshot.concealment.reveal_action)
        other = replace(self, query=replace(self.query, action=reveal))
        facts = other.facts(identity)
        guards = (*self.snapshot.early_guards, *self.snapshot.late_guards)
        return first_refusal(guards, facts) is None and other.grant(identity, facts).allows

    def _verdict(self, outcome: Outcome, ground: Ground, known: Known = (None, ())) -> Verdict:
        return ground.verdict(outcome, *known, self.snapshot.revision)


_NOT_GRANTED = Ground(Reason.NOT_GRANTED)
