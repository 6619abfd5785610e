"""What `pdp check` alone looks for: roles in vain, rules said twice or against one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from test_checks import CODES, EFFECT, MODEL, ROOT, RULES, Directory, as_bytes

from pdp.policy.checks import deep_checks
from pdp.policy.settings import CASBIN_PAIR, LayerSettings
from pdp.policy.shape import LayerText, read_shape
from pdp.policy.snapshot import check_deeply
from pdp.policy.text import PolicyText, Row, read_model, read_rows

PRIORITY = "e = priority(p.eft) || deny"
ALICE = "p, alice, /a, GET"
Found = list[tuple[int | None, str]]


def text_of(policy: str, model: str = MODEL) -> LayerText:
    return read_shape(CASBIN_PAIR, read_model(model, "m.conf"), read_rows(policy, "p.csv"))


def found(policy: str, model: str = MODEL) -> Found:
    directory = Directory(model=model, rows=policy)
    assert directory.problems() == []
    problems = deep_checks(text_of(policy, model))
    assert all(p.severity is CODES[p.code].severity for p in problems)
    return [(problem.line, problem.code) for problem in problems]


def effect(line: str) -> str:
    return MODEL.replace(EFFECT, line)


def matcher(line: str) -> str:
    return MODEL.replace(RULES, f"m = {line}")


WITH_PRIORITY = effect(PRIORITY).replace("act, eft", "act, eft, priority")
DOMAINS = (
    MODEL.replace("g = _, _", "g = _, _, _")
    .replace("r = sub, obj, act", "r = sub, dom, obj, act")
    .replace("p = sub, obj, act", "p = sub, dom, obj, act")
    .replace("g(r.sub, p.sub)", "g(r.sub, p.sub, r.dom) && r.dom == p.dom")
)
RULE = MODEL.replace("p = sub, obj, act, eft", "p = sub, rule, eft").replace(
    RULES, "m = g(r.sub, p.sub) && eval(p.rule)"
)


@pytest.mark.parametrize(
    ("policy", "model", "expected"),
    [
        # roles
        ("p, member, /a, GET, allow\ng, alice, membr\n", MODEL, [(2, "unused-role")]),
        ("p, member, /a, GET, allow\ng, alice, x\ng, bob, x\n", MODEL, [(2, "unused-role")]),
        ("p, member, /a, GET, allow\ng, alice, admin\ng, admin, member\n", MODEL, []),
        (
            "p, member, /a, GET, allow\ng, alice, admin\ng, admin, membr\n",
            MODEL,
            [(2, "unused-role"), (3, "unused-role")],
        ),
        (
            "p, a, /a, GET, allow\ng, x, y\ng, y, x\n",
            MODEL,
            [(2, "unused-role"), (3, "unused-role")],
        ),
        ("g, alice, admin\n", matcher('g(r.sub, "admin") && r.obj == p.obj'), []),
        ("g, alice, /a\n", matcher("g(r.sub, r.obj) && r.sub == p.sub"), []),
        ("g, alice, admin\n", matcher("r.sub == p.sub"), []),
        ("p, a, b, /a, GET, allow\ng, alice, x, b\n", DOMAINS, [(2, "unused-role")]),
        ('p, alice, g(r.sub, "root"), allow\ng, bob, root\n', RULE, []),
        ("p, alice, g(r.sub, r.sub.boss), allow\ng, bob, root\n", RULE, []),
        # twins
        (f"{ALICE}, allow\n{ALICE}, allow\n", MODEL, [(2, "shadowed-rule")]),
        (f"{ALICE}, allow\n{ALICE}X, allow\n", MODEL, []),
        (f"{ALICE}, allow\n{ALICE}, deny\n", MODEL, [(2, "contradictory-rules")]),
        (
            f"{ALICE}, allow\n{ALICE}, deny\n{ALICE}, deny\n{ALICE}, allow\n",
            MODEL,
            [(2, "contradictory-rules"), (3, "shadowed-rule"), (4, "shadowed-rule")],
        ),
        # where an order decides
        (f"{ALICE}, allow\n{ALICE}, deny\n", effect(PRIORITY), [(2, "shadowed-rule")]),
        (f"{ALICE}, allow, 2\n{ALICE}, deny, 1\n", WITH_PRIORITY, [(1, "shadowed-rule")]),
        (f"{ALICE}, allow, 9\n{ALICE}, deny, 10\n", WITH_PRIORITY, [(2, "shadowed-rule")]),
        (
            f"{ALICE}, allow\n{ALICE}, deny\n",
            effect("e = subjectPriority(p.eft) || deny"),
            [(2, "shadowed-rule")],
        ),
        # without decisions
        (
            f"{ALICE}\n{ALICE}\n",
            MODEL.replace("act, eft", "act").replace(EFFECT, "e = some(where (p.eft == allow))"),
            [(2, "shadowed-rule")],
        ),
    ],
)
def test_a_rule_or_role_in_vain_is_told_at_its_line(
    policy: str, model: str, expected: Found
) -> None:
    assert found(policy, model) == expected


def test_a_message_names_the_other_line() -> None:
    (problem,) = deep_checks(text_of(f"# x\n{ALICE}, allow\n{ALICE}, deny\n"))
    assert "line 2 " in problem.message


def test_the_load_does_not_look_so_deep() -> None:
    assert Directory(rows=f"{ALICE}, allow\n{ALICE}, allow\n").problems() == []


def test_layers_that_share_a_file_tell_its_problems_once() -> None:
    policy = f"{ALICE}, allow\n{ALICE}, allow\n"
    files = {"m": as_bytes(MODEL), "p": as_bytes(policy), "empty": b""}
    layers = [LayerSettings(name=n, kind="grant", model="m", policy="p") for n in "ab"]
    unread = [
        LayerSettings(name=name, kind="grant", model="m", policy=name)
        for name in ("absent", "empty")
    ]
    assert [p.line for p in check_deeply(files, [*layers, *unread])] == [2]


def test_the_clean_directory_stays_clean() -> None:
    assert deep_checks(text_of(Directory().rows)) == []  # type: ignore[arg-type]
    assert (ROOT / "policies").is_dir()


class Counted(str):
    """A text that counts how often it is hashed or compared."""

    __slots__ = ()
    times = 0

    def __hash__(self) -> int:
        Counted.times += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return super().__eq__(other)


def many(count: int) -> Iterator[Row]:
    """Roles in a tree, a rule for every other one, and each rule twice."""
    for i in range(0, count, 4):
        values = (f"role{i}", f"/pages/{i}", "^(GET|HEAD)$", "allow")
        yield Row("p", tuple(map(Counted, values)), i + 1)
        yield Row("p", tuple(map(Counted, values)), i + 2)
        yield Row("g", (Counted(f"role{i + 4}"), Counted(f"role{i // 2}")), i + 3)
        yield Row("g", (Counted(f"user{i}"), Counted(f"role{i + 2}")), i + 4)


def work(count: int) -> int:
    model = read_model(MODEL, "m.conf")
    text = read_shape(CASBIN_PAIR, model, PolicyText("p.csv", tuple(many(count))))
    Counted.times = 0
    problems = deep_checks(text)
    assert {problem.code for problem in problems} == {"shadowed-rule", "unused-role"}
    return Counted.times


def test_the_work_grows_with_the_rows_and_no_faster() -> None:
    assert 100_000 < work(100_000) <= 15 * work(10_000)
