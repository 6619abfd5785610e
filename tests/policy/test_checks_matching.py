"""Settings that make names of `g` rows patterns: what is wrong with them is told at load."""

from __future__ import annotations

import pytest

from pdp.policy.checks.matching import MOST_PAIRS, MOST_PATTERNS, check_matching
from pdp.policy.settings import LayerSettings
from pdp.policy.shape import LayerText, read_shape
from pdp.policy.text import read_model, read_rows

PLAIN = "[role_definition]\ng = _, _\n"
DOMAINS = "[role_definition]\ng = _, _, _\n"


def layer_text(rows: str, model: str = PLAIN, **matching: dict[str, str]) -> LayerText:
    layer = LayerSettings(
        name="rbac",
        kind="grant",
        model="m.conf",
        policy="p.csv",
        **matching,  # type: ignore[arg-type]
    )
    return read_shape(layer, read_model(model, "m.conf"), read_rows(rows, "p.csv"))


MANY = "".join(f"g, /a{i}/*, r\n" for i in range(MOST_PATTERNS + 1))
PAIRS = "".join(f"g, u{i}, r{i % 1000}*\n" for i in range(MOST_PAIRS // 1000))


@pytest.mark.parametrize(
    ("text", "line", "code", "said"),
    [
        (layer_text("", role_matching={"g2": "keyMatch"}), None, "matching-definition", "`g`"),
        (layer_text("", role_matching={"g": "keymatch2"}), None, "matching-function", "keyMatch2"),
        (layer_text("", role_matching={"g": "timeMatch"}), None, "matching-function", "pattern"),
        (layer_text("", domain_matching={"g": "keyMatch"}), None, "matching-domain", "_, _, _"),
        (
            layer_text("g, a, b\ng, *a, b\n", role_matching={"g": "regexMatch"}),
            2,
            "bad-pattern",
            "regexMatch",
        ),
        (
            layer_text("g, a, b\ng, ^(a+)+\\1$, b\n", role_matching={"g": "regexMatch"}),
            2,
            "catastrophic-pattern",
            "repeats",
        ),
        (layer_text(MANY, role_matching={"g": "keyMatch2"}), None, "too-many-patterns", "at most"),
        (layer_text(PAIRS, role_matching={"g": "keyMatch"}), None, "too-many-patterns", "fewer"),
        (
            layer_text("g, a, b, a(\n", DOMAINS, domain_matching={"g": "regexMatch"}),
            1,
            "bad-pattern",
            "regexMatch",
        ),
    ],
)
def test_a_bad_setting_is_told(text: LayerText, line: int | None, code: str, said: str) -> None:
    (problem,) = check_matching(text, "pdp.toml")
    assert (problem.line, problem.code) == (line, code)
    assert problem.file == ("pdp.toml" if code.startswith("matching") else "p.csv")
    assert said in problem.message + problem.help


@pytest.mark.parametrize(
    "text",
    [
        layer_text("g, a*, b\n"),
        layer_text("g, /a/*, b\n", role_matching={"g": "keyMatch2"}),
        layer_text("g, alice, b\ng, 10.0.0.0/8, b\n", role_matching={"g": "ipMatch"}),
        layer_text(
            "g, a, b, *\n",
            DOMAINS,
            role_matching={"g": "keyMatch"},
            domain_matching={"g": "keyMatch"},
        ),
        layer_text(
            "".join(f"g, u{i}, r{i}\n" for i in range(3000)), role_matching={"g": "keyMatch2"}
        ),
    ],
)
def test_a_good_setting_is_not_told(text: LayerText) -> None:
    assert check_matching(text, "pdp.toml") == []
