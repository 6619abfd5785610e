"""Matchers: the shapes that the field writes, and random ones over all atoms.

`G2` stands for a role definition of two places, `G3` for one with a domain, `GR` for one of
resources, and `PATH` and `HOME` for a function of paths: each policy says which.
"""

from __future__ import annotations

from random import Random

from trees import Tree, read_tree

SUBJECTS = (
    *("r.sub == p.sub", "G2(r.sub, p.sub)", "G2(r.sub, p.sub)"),
    *("G3(r.sub, p.sub, r.dom) && r.dom == p.dom", "G3(r.sub, p.sub, p.dom)"),
    *('(r.sub == p.sub || p.sub == "*")', '(G2(r.sub, p.sub) || p.sub == "*")'),
    *("G3(r.sub, p.sub, r.dom)", 'r.sub in ["root", p.sub]', "p.dom in r.sub.tags"),
    *("p.sub in [r.sub, r.sub.dept]", "p.sub in (r.sub, r.act)", "HOME"),
    *('(G3(r.sub, p.sub, r.dom) || p.sub == "*") && (r.dom == p.dom || p.dom == "*")',),
    *("r.sub == r.obj.owner", "r.sub.dept == p.dom", "G2(r.sub, p.sub) && r.tenant == p.tenant"),
)
OBJECTS = (
    *("r.obj == p.obj", "PATH", "PATH", "PATH", '(r.obj == p.obj || p.obj == "/*")'),
    *("GR(r.obj, p.kind)", '(PATH || p.obj == "/")', "(PATH || r.obj == p.obj)"),
)
ACTIONS = (
    *("r.act == p.act", "regexMatch(r.act, p.act)", '(r.act == p.act || p.act == "*")'),
    *('r.act in ["GET", p.act]', "r.act in p.act", 'r.act in ("GET", "POST")'),
)
NETWORKS = ("ipMatch(r.ip, p.net)", "ipMatch(r.ip, p.net)", '!(ipMatch(r.ip, "10.0.0.0/8"))')
CONDITIONS = (
    *("r.sub.age >= 18", "r.sub.active", "r.obj.public", "timeMatch(p.start, p.end)"),
    *("r.sub.age < r.obj.limit", "timeMatch(p.start, p.end)", 'r.sub.org.name == "d1"'),
    *(
        "eval(p.rule)",
        "eval(p.rule)",
        "!(eval(p.rule))",
        "(eval(p.rule) || eval(p.rule2))",
        "(r.obj.owner == r.sub || r.obj.public)",
    ),
    *("(eval(p.rule) || r.obj == p.obj)", "r.obj.kind == p.dom", '!(r.sub == "bob")'),
    *("(r.sub.active if r.obj.public else r.sub == p.sub)", "r.sub.age * 2 > 35"),
)
WHOLES = (
    *("{}", "{}", "{}", "{}", "{}", 'r.sub == "root" || {}', '{} || r.sub == "root"'),
    *("{} || r.obj.public", "({}) && True", "({} if r.sub.active else r.sub == p.sub)", "!({})"),
)
PLAIN = (
    *("r.sub == p.sub", "r.sub != p.sub", "p.sub == r.sub", "r.act == p.act", "r.act != p.act"),
    *("r.obj == p.obj", "r.dom == p.dom", 'p.act == "*"', 'p.sub == "*"', 'r.sub == "root"'),
    *("PATH", "PATH", "PATH", 'keyMatch2(r.obj, "/a/:id")', 'regexMatch(r.act, "^(GET|POST)$")'),
    *("G2(r.sub, p.sub)", "G3(r.sub, p.sub, r.dom)", 'G2(r.sub, "admin")', "GR(r.obj, p.kind)"),
    *("G3(r.sub, p.sub, p.dom)", 'G3(r.sub, p.sub, "d1")', "G2(p.sub, r.sub)", "r.tenant == p.dom"),
    *("ipMatch(r.ip, p.net)", 'ipMatch(r.ip, "10.0.0.0/8")', "r.act in ['GET', 'POST']"),
    *('r.sub in ("root", p.sub)', 'r.sub not in ["bob", "alice"]', "r.sub in p.sub", "True"),
    *("(r.sub == p.sub) == (r.act == p.act)", "r.sub < p.sub", "r.sub + r.act == p.sub + p.act"),
    *(
        "p.sub == p.dom",
        "r.dom in (p.dom, p.tenant)",
        "timeMatch(p.start, p.end)",
        "p.act in r.obj",
    ),
    *("regexMatch(r.act, p.act)", 'timeMatch("_", "2999-01-01 00:00:00")', "r.sub == r.dom"),
)
UNSURE = (
    *("r.sub.age >= 18", "r.sub.age < r.obj.limit", "17 < r.sub.age <= 65", "r.sub.age != 18"),
    *("r.sub.age + 1 > 18", "r.sub.age * 2 == 36", "r.sub.age / r.obj.limit > 1"),
    *("r.sub.age % 2 == 0", "r.sub.age // 1 == 18", "-r.sub.age < -17", "r.sub.age - 1 >= 17"),
    *("r.sub == r.obj.owner", "G2(r.obj.owner, p.sub)", "G2(r.sub, r.obj.owner)"),
    *("r.sub.dept == p.dom", "p.dom in r.sub.tags", "r.sub.tags[0] == p.dom", "r.sub.active"),
    *("r.sub.org.name == p.dom", "r.obj.public", "r.sub.score", "r.sub.dept", "r.obj.limit"),
    *("keyMatch(r.sub.dept, p.dom)", "r.sub.age in [17, 18]", "r.sub.dept in [p.dom, p.sub]"),
    *("keyMatch(r.sub.tags, p.tenant)", "ipMatch(r.sub.dept, p.net)", "r.obj.owner == p.sub"),
    *("regexMatch(r.sub.age, p.act)", 'keyMatch2(r.sub.home, "/a/:id")', "r.obj.kind == p.act"),
    *("(r.sub.age if r.sub.active else 18) > 17", "(r.sub.dept or r.sub) == p.sub"),
    *("(r.sub.active and r.obj.public) == True", "(not r.sub.active) == r.obj.public"),
    *("G3(r.sub, p.sub, r.sub.dept)", 'G3(r.sub, "admin", r.obj.limit)', "p.dom == r.sub.tags"),
    *("1", '"text"', "0.0", "1.5", "''", "False", "r.sub.age == r.obj.limit", "r.sub.score == 1"),
    *("HOME", "keyMatch(r.sub.home, p.obj)", "p.tenant in r.sub.org", "r.tenant in [p.tenant, 1]"),
    *('regexMatch(r.sub.dept, "^d1$")', "r.sub.tags == [p.dom]", "r.obj.kind in p.dom"),
)
RULES = (
    *("r.sub.age > 17", 'r.sub == "alice"', 'r.sub in ["alice", "bob"]', "r.obj.public", "True"),
    *("r.obj == p.obj", 'r.act == p.act || p.act == "*"', "r.sub == r.obj.owner", "r.sub == p.sub"),
    *('keyMatch2(r.obj, "/a/:id")', "r.sub.age > 17 && r.act == p.act", "!(r.sub == p.sub)"),
    *('r.obj == "/a/1" && r.obj.public', "r.sub.active || r.obj == p.obj", 'r.act == "GET"'),
)


def matcher(rng: Random) -> Tree:
    """A matcher, its placeholders not yet filled."""
    kind = rng.random()
    if kind < 0.62:
        return read_tree(_shape(rng))
    if kind < 0.65:  # more alternatives than anyone would spell out
        pairs = [Tree("or", (tree(rng, 1), tree(rng, 1))) for _ in range(rng.randint(4, 6))]
        return Tree("and", tuple(pairs))
    if kind < 0.87:
        sides = [read_tree(_shape(rng)), tree(rng, rng.randint(1, 4))]
        rng.shuffle(sides)
        return Tree(rng.choice(("and", "and", "or")), tuple(sides))
    return tree(rng, rng.randint(1, 7), rules=rng.random() < 0.3)


def _shape(rng: Random) -> str:
    sides = [rng.choice(SUBJECTS), rng.choice(OBJECTS), rng.choice(ACTIONS)]
    if rng.random() < 0.25:
        sides.append(rng.choice(NETWORKS))
    if rng.random() < 0.45:
        sides.append(rng.choice(CONDITIONS))
    for chance in (0.25, 0.2):
        if rng.random() < chance:
            sides.pop(rng.randrange(len(sides)))
    if rng.random() < 0.3:
        rng.shuffle(sides)
    return rng.choice(WHOLES).format(" && ".join(sides))


def tree(rng: Random, leaves: int, *, rules: bool = False) -> Tree:
    """A random expression of about so many atoms."""
    if leaves <= 1:
        if rules and rng.random() < 0.4:
            return Tree("eval", text="eval(p.rule)")
        pool = PLAIN if rng.random() < 0.65 else UNSURE
        return Tree("atom", text=rng.choice(pool))
    kind = rng.choice(("and", "and", "and", "or", "or", "not", "if"))
    if kind == "not":
        return Tree("not", (tree(rng, leaves - 1, rules=rules),))
    count = 3 if kind == "if" else min(leaves, rng.choice((2, 2, 3)))
    share = max(1, leaves // count)
    return Tree(kind, tuple(tree(rng, share, rules=rules) for _ in range(count)))


def rule(rng: Random) -> Tree:
    """The text of an `eval` column: one that the field would write, or a random one."""
    return read_tree(rng.choice(RULES)) if rng.random() < 0.7 else tree(rng, rng.randint(1, 3))
