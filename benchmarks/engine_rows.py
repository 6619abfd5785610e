"""Policies of any size that the engine is measured on, and questions with known answers.

Every question is one of four kinds: the `first` row decides it, the `last` row, `any` row, or no
row (`miss`, half of which differ from a row in one token only). Subjects come from 100,000 names
or more, so that what is kept from one question seldom helps the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

KINDS = ("first", "last", "any", "miss")
USERS = 100_000
MEMBERS = 50  # of a domain: pycasbin needs their square to build it

Kind = Literal["first", "last", "any", "miss"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, with the answer it must get: allowed or not, and the line that decides."""

    kind: str
    allowed: bool
    line: int | None
    sub: str
    obj: str = "/page"
    act: str = "GET"
    dom: str = ""
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The text of a policy file, how many of its lines are roles, and how to draw a question."""

    text: str
    role_rows: int
    ask: Callable[[Kind, Random], Ask]


def user_name(number: int) -> str:
    return f"user{number}"


def anybody(rng: Random, users: int) -> str:
    """Somebody whom no row names."""
    return f"guest{rng.randrange(2 * users)}"


def other(rng: Random, number: int, than: int) -> int:
    """One of `number`, but not `than`."""
    found = rng.randrange(number - 1)
    return found + (found >= than)


def join(rows: list[str], roles: list[str]) -> str:
    return "\n".join((*rows, *roles, ""))


def _groups(rows: int, most: int = 1_000) -> int:
    """How many roles, domains or the like so many rows are spread over."""
    return min(most, max(2, rows // 10))


def row_at(kind: Kind, rng: Random, rows: int) -> int:
    return {"first": 0, "last": rows - 1}.get(kind, rng.randrange(rows))


def _team_roles(roles: int, users: int) -> list[str]:
    """Every user in one team, every team in `staff`."""
    members = [f"g, {user_name(u)}, team{u % roles}" for u in range(users)]
    return members + [f"g, team{r}, staff" for r in range(roles)]


def _owner(row: int, rows: int, roles: int) -> str:
    """The first and the last row are for all the staff, so that 100,000 users may ask for them."""
    return "staff" if row in (0, rows - 1) else f"team{row % roles}"


def _own_row(rng: Random, rows: int, roles: int, user: int) -> int:
    """A row of the user's own team."""
    row = user % roles + roles * rng.randrange(rows // roles)
    return min(row, rows - 1)


def _foreign_row(rng: Random, rows: int, roles: int, user: int) -> int:
    """A row of another team, neither the first nor the last."""
    while True:
        row = rng.randrange(1, rows - 1)
        if row % roles != user % roles:
            return row


def rbac(rows: int, users: int) -> Policy:
    """Users in teams, all teams in `staff`; each page is for one role."""
    roles = _groups(rows)
    grants = [f"p, {_owner(i, rows, roles)}, /page/{i}, GET" for i in range(rows)]
    held = _team_roles(roles, users)

    def ask(kind: Kind, rng: Random) -> Ask:
        user = rng.randrange(users)
        if kind == "miss":
            known = rng.random() < 0.5
            row = _foreign_row(rng, rows, roles, user) if known else rows + rng.randrange(users)
            return Ask(kind, False, None, user_name(user), f"/page/{row}")
        row = _own_row(rng, rows, roles, user) if kind == "any" else row_at(kind, rng, rows)
        return Ask(kind, True, row + 1, user_name(user), f"/page/{row}")

    return Policy(join(grants, held), len(held), ask)


_METHODS = (
    ("^(GET|HEAD)$", "GET"),
    ("^POST$", "POST"),
    ("^(PUT|PATCH)$", "PATCH"),
    ("^DELETE$", "DELETE"),
)


def _path(row: int, last: object) -> str:
    return f"/api/area{row // 100}/thing{row}/{last}"


def _rest(rows: int, users: int, owners: list[str], held: list[str], *, teams: bool) -> Policy:
    roles = _groups(rows)
    grants = [f"p, {owners[i]}, {_path(i, ':id')}, {_METHODS[i % 4][0]}" for i in range(rows)]

    def ask(kind: Kind, rng: Random) -> Ask:
        user, item = rng.randrange(users), rng.randrange(1_000_000)
        if kind != "miss":
            own = kind == "any" and teams
            row = _own_row(rng, rows, roles, user) if own else row_at(kind, rng, rows)
            return Ask(kind, True, row + 1, user_name(user), _path(row, item), _METHODS[row % 4][1])
        row = _foreign_row(rng, rows, roles, user) if teams else rng.randrange(rows)
        path = _path(row, item) if rng.random() < 0.5 else _path(row, item) + "/more"
        method = _METHODS[(row + (not teams)) % 4][1]
        return Ask(kind, False, None, user_name(user), path, method)

    return Policy(join(grants, held), len(held), ask)


def rest(rows: int, users: int) -> Policy:
    """Paths with a parameter and methods by regular expression, spread over roles."""
    roles = _groups(rows)
    owners = [_owner(i, rows, roles) for i in range(rows)]
    return _rest(rows, users, owners, _team_roles(roles, users), teams=True)


def rest_one_role(rows: int, users: int) -> Policy:
    """The same with one role that owns all rows: knowing the role helps nothing."""
    held = [f"g, {user_name(u)}, staff" for u in range(users)]
    return _rest(rows, users, ["staff"] * rows, held, teams=False)


def domains(rows: int, users: int) -> Policy:
    """Every user is a member of one domain, with fifty others; every page is a domain's."""
    number = users // MEMBERS
    grants = [f"p, member, dom{i % number}, /page/{i}, GET" for i in range(rows)]
    held = [f"g, {user_name(u)}, member, dom{u % number}" for u in range(users)]

    def ask(kind: Kind, rng: Random) -> Ask:
        row = row_at(kind, rng, rows)
        of = row % number
        user = of + number * rng.randrange(users // number)
        page = f"/page/{row}"
        if kind != "miss":
            return Ask(kind, True, row + 1, user_name(user), page, dom=f"dom{of}")
        if rng.random() < 0.5:
            page = f"/page/{rows + rng.randrange(users)}"
        else:
            user = other(rng, number, of) + number * rng.randrange(users // number)
        return Ask(kind, False, None, user_name(user), page, dom=f"dom{of}")

    return Policy(join(grants, held), len(held), ask)


def priority(rows: int, users: int) -> Policy:
    """Pairs of rows: what a team may or may not, then the opposite for all the staff."""
    roles, pairs = _groups(rows), rows // 2
    lines = list(range(rows))
    # The file's order is not that of the priorities.
    Random(1).shuffle(lines)  # noqa: S311 - repeatable, not secret
    allows = [bool((i // 2) % 3) is not bool(i % 2) for i in range(rows)]
    allows[0], allows[-2], allows[-1] = True, False, True
    text = [""] * rows
    for i, line in enumerate(lines):
        owner = f"team{i // 2 % roles}" if i % 2 == 0 and i else "staff"
        effect = "allow" if allows[i] else "deny"
        text[line] = f"p, {i}, {owner}, /page/{i // 2}, GET, {effect}"
    held = _team_roles(roles, users)

    def ask(kind: Kind, rng: Random) -> Ask:
        user = rng.randrange(users)
        if kind == "miss":
            return Ask(kind, False, None, user_name(user), f"/page/{pairs + rng.randrange(users)}")
        pair = {"first": 0, "last": pairs - 1}.get(kind, rng.randrange(pairs))
        if kind == "last":
            user = other(rng, roles, pair % roles) + roles * rng.randrange(users // roles)
        elif kind == "any" and rng.random() < 0.5:
            user = pair % roles + roles * rng.randrange(users // roles)
        row = 2 * pair if pair == 0 or user % roles == pair % roles else 2 * pair + 1
        return Ask(kind, allows[row], lines[row] + 1, user_name(user), f"/page/{pair}")

    return Policy(join(text, held), len(held), ask)
