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

_ALLOW, _NONE = Outcome.ALLOW, Method.NONE
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


class Question(Struct):
    """A query put to one snapshot at one time, in Unix seconds."""

    query: Query
    snapshot: Snapshot
    now: float
    _public: Facts | None = None  # what is known when anybody asks, once that matters

    def enter(self) -> Verdict | Ground | None:
        """Step 2: a verdict, or a refusal that must wait lest it reveal, or None."""
        guards = self.snapshot.early_guards
        refusal = first_refusal(guards, self.public()) if guards else None
        if refusal is None:
            return None
        if refusal.asks_for(Source.RESOURCE) and self.snapshot.concealed(self.query):
            return refusal
        return refusal.verdict(Outcome.FORBIDDEN, self.snapshot.revision)

    def conclude(self, identity: Identity | Rejected, waiting: Ground | None) -> Verdict:
        """Steps 4 to 7; `waiting` is a refusal of step 2 that had to wait."""
        snapshot = self.snapshot
        if isinstance(identity, Rejected):
            ground = Ground(identity.reason, detail=identity.detail)
            verdict = ground.verdict(identity.outcome, snapshot.revision)
            return replace(verdict, retry_after=identity.retry_after)
        facts = snapshot.facts(self.query, identity, self.now)
        refused = snapshot.refuses(self.query, identity, facts)
        if refused:  # a cookie, which nobody chose to send, then counts as none
            cookie = identity.method is Method.SESSION
            return self.conclude(nobody(refused) if cookie else refused, waiting)
        roles = snapshot.roles(facts)
        if self.query.names_another(identity):
            ground = Ground(Reason.SUBJECT_MISMATCH)
            return ground.verdict(Outcome.FORBIDDEN, snapshot.revision, identity, roles)
        refusal = first_refusal(snapshot.late_guards, facts)
        granted = self.grant(identity, facts)  # behind a refusal, too: the time must not tell
        ground = waiting or refusal or granted
        missing = first_refusal(snapshot.step_ups, facts) if ground.allows else ground
        if missing is None:
            return ground.verdict(_ALLOW, snapshot.revision, identity, roles)
        outcome, ground = self._refuse(identity, facts, missing)
        return ground.verdict(outcome, snapshot.revision, identity, roles)

    def refuses(self, identity: Identity) -> Rejected | None:
        """Why nobody may go by this identity here, however good its credential."""
        return self.snapshot.refuses(self.query, identity, self.facts(identity))

    def facts(self, identity: Identity) -> Facts:
        """What is known when `identity` asks."""
        return self.snapshot.facts(self.query, identity, self.now)

    def public(self) -> Facts:
        """What is known when anybody asks."""
        if self._public is None:
            self._public = self.facts(ANONYMOUS)
        return self._public

    def grant(self, identity: Identity, facts: Facts) -> Ground:
        """Step 6."""
        ground = judge_grants(self.snapshot.grants, facts)
        if identity.method is _NONE:
            return replace(ground, reason=Reason.PUBLIC) if ground.allows else ground
        if ground.allows:
            return ground
        public = judge_grants(self.snapshot.grants, self.public())
        # A deny of `anonymous` is nobody else's: it only means that nothing is public here.
        opens = public.allows and ground.reason is Reason.NOT_GRANTED
        return replace(public, reason=Reason.PUBLIC) if opens else ground

    def _refuse(self, identity: Identity, facts: Facts, ground: Ground) -> tuple[Outcome, Ground]:
        """Step 7. INVARIANT: hidden and absent resources take the same way out, without demands."""
        snapshot = self.snapshot
        if identity.method is _NONE and snapshot.credentialing.configured:
            why = identity.refused or Rejected(Reason.CREDENTIALS_MISSING)
            return why.outcome, replace(ground, reason=why.reason, demands=(), detail=why.detail)
        if ground.reason is Reason.STEP_UP_REQUIRED:
            return Outcome.UNAUTHENTICATED, ground
        # Both are found out whether they matter or not: the same work, the same time.
        covered = snapshot.covered(facts)
        revealed = bool(snapshot.hidden) and self.revealed(identity)
        if snapshot.concealed(self.query) and not revealed:
            return Outcome.NOT_FOUND, replace(ground, reason=Reason.CONCEALED, demands=())
        if not covered:
            hides = snapshot.concealment.unknown_resource == 404  # noqa: PLR2004
            outcome = Outcome.NOT_FOUND if hides else Outcome.FORBIDDEN
            return outcome, replace(ground, reason=Reason.RESOURCE_UNKNOWN, demands=())
        return Outcome.FORBIDDEN, ground

    def revealed(self, identity: Identity) -> bool:
        """Whether the subject may do the revealing action, so that there is nothing to hide."""
        reveal = self.snapshot.revealing
        if reveal == self.query.action:
            return False  # it was refused
        other = Question(replace(self.query, action=reveal), self.snapshot, self.now)
        facts = other.facts(identity)
        refusal, granted = first_refusal(self.snapshot.guards, facts), other.grant(identity, facts)
        return refusal is None and granted.allows
