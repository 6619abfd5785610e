"""Loading: precedence, the operator's file, and every problem at once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pdp.errors import ConfigurationError, Problem
from pdp.runtime.load import load

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
LAYER = '[[layers]]\nname = "one"\nkind = "grant"\nmodel = "model.conf"\npolicy = "policy.csv"\n'


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    (tmp_path / "model.conf").write_text(MODEL)
    (tmp_path / "policy.csv").write_text("p, alice, data1, read\n")
    return tmp_path


def problems(directory: Path, config: Path | None = None, **environment: str) -> list[Problem]:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, config, environment)
    return list(caught.value.problems)


def codes(found: list[Problem]) -> list[tuple[str, str]]:
    return [(p.file, p.code) for p in found]


def test_two_files_are_one_grant_without_authentication(pair: Path) -> None:
    loaded = load(pair)
    assert [layer.name for layer in loaded.snapshot.grants] == ["policy"]
    assert not loaded.authenticator.configured
    assert loaded.warnings == ()
    assert loaded.server.listen == "127.0.0.1:7373"


@pytest.mark.parametrize(
    ("file", "environment", "flags", "listen"),
    [
        ("", {}, {}, "127.0.0.1:7373"),
        ('[server]\nlisten = "127.0.0.1:1"', {}, {}, "127.0.0.1:1"),
        ('[server]\nlisten = "127.0.0.1:1"', {"PDP_LISTEN": "127.0.0.1:2"}, {}, "127.0.0.1:2"),
        ("", {"PDP_LISTEN": "127.0.0.1:2"}, {"listen": "127.0.0.1:3"}, "127.0.0.1:3"),
    ],
    ids=["default", "file", "environment", "flag"],
)
def test_flag_over_environment_over_file_over_default(
    pair: Path, file: str, environment: Mapping[str, str], flags: Mapping[str, str], listen: str
) -> None:
    (pair / "pdp.toml").write_text(file + "\n" + LAYER)
    assert load(pair, None, environment, flags).server.listen == listen


def test_the_environment_sets_values_of_every_type(pair: Path) -> None:
    server = load(
        pair,
        None,
        {
            "PDP_MAX_BATCH": "5",
            "PDP_BODY_SECONDS": "0.5",
            "PDP_TRUST_NETWORK": "true",
            "PDP_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
            "PDP_SERVICE_PORT": "tcp://10.0.0.1:80",
        },
    ).server
    assert (server.max_batch, server.body_seconds, server.trust_network) == (5, 0.5, True)
    assert server.trusted_proxies == ("10.0.0.0/8", "192.0.2.1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PDP_MAX_BATCH", "x"), ("PDP_TRUST_NETWORK", "perhaps"), ("PDP_BODY_SECONDS", "")],
)
def test_a_wrong_variable_is_named(pair: Path, variable: str, value: str) -> None:
    assert codes(problems(pair, **{variable: value})) == [(variable, "wrong-type")]


def test_every_problem_is_reported_at_once(pair: Path) -> None:
    (pair / "pdp.toml").write_text(
        "sever = 1\n"
        '[server]\nlisten = "nowhere"\nmax_batch = "many"\ntrusted_proxies = ["10.0.0.1/8"]\n'
        '[authentication]\nrealm = "a"\n[[authentication.issuers]]\nissuer = "i"\n'
        'audiences = ["a"]\nalgorithms = ["RS256"]\npublic_key_file = "absent.pem"\n'
        '[[callers]]\nname = "a"\nkey_sha256_file = "absent.sha256"\n'
        + LAYER.replace("policy.csv", "absent.csv")
        + '[concealment]\nresources = ["/a"]\nunknown_resource = 403\n'
    )
    found = codes(problems(pair))
    assert ("pdp.toml", "unknown-key") in found
    assert ("pdp.toml", "wrong-type") in found
    assert ("pdp.toml", "no-key-file") in found
    assert ("absent.sha256", "missing-file") in found
    assert ("absent.csv", "missing-file") in found
    assert ("pdp.toml", "revealing-status") in found
    (pair / "pdp.toml").write_text(
        '[server]\nlisten = "nowhere"\ntrusted_proxies = ["10.0.0.1/8"]\n' + LAYER
    )
    assert codes(problems(pair)) == [("pdp.toml", "bad-listen"), ("pdp.toml", "bad-network")]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "no-grant", "there is no layer that could grant anything"),
        (LAYER * 2, "duplicate-layer", "two layers are named `one`"),
        (LAYER.replace("grant", "gard"), "wrong-type", "`layers[0].kind`"),
        (LAYER.replace("one", "a b"), "wrong-type", "`layers[0].name`"),
        (LAYER.replace("model.conf", "../model.conf"), "outside-file", "`../model.conf`"),
        (LAYER.replace("model.conf", "/etc/passwd"), "outside-file", "`/etc/passwd`"),
        (LAYER + "[layers.request]\nsubj = '{subject.id}'", "unknown-token", "request.subj"),
        (LAYER + "[layers.request]\nsub = '{subject}'", "bad-template", "`subject` is none"),
        (LAYER + "[layers.request]\nsub = '{user.id}'", "bad-template", "`user` is none"),
        (LAYER + "[layers.request]\nsub = '{subject.id'", "bad-template", "brace"),
        ("[server]\nexempt_targets = ['/a[']\n" + LAYER, "bad-pattern", "`/a[`"),
        ("[server]\ntrusted_proxies = ['::ffff:10.0.0.0/104']\n" + LAYER, "bad-network", "::ffff"),
        ("[server]\ntrusted_proxies = ['fe80::%eth0/64']\n" + LAYER, "bad-network", "fe80"),
        ("[server]\ntrusted_proxies = ['0.0.0.0/0']\n" + LAYER, "bad-network", "everybody"),
        ("[server]\ntrusted_proxies = ['::/0']\n" + LAYER, "bad-network", "everybody"),
        (LAYER + "[concealment]\nresources = ['/(']", "bad-pattern", "`/(`"),
        ("[layers]\nname = 'x'", "wrong-type", "`layers` must be an array of tables"),
        ("a = ", "bad-toml", "is not TOML"),
        ("server = 3\n" + LAYER, "wrong-type", "`server` must be a table"),
    ],
)
def test_a_wrong_section_is_named(pair: Path, text: str, code: str, message: str) -> None:
    (pair / "pdp.toml").write_text(text)
    if text == "":
        (pair / "policy.csv").unlink()
    found = [p for p in problems(pair) if p.code == code]
    assert found
    assert message in found[0].message


def test_the_operators_sections_move_to_their_own_file(pair: Path, tmp_path: Path) -> None:
    config = tmp_path / "operator" / "server.toml"
    config.parent.mkdir()
    config.write_text("[server]\nmax_batch = 7\n")
    (pair / "pdp.toml").write_text(LAYER)
    assert load(pair, config).server.max_batch == 7
    (pair / "pdp.toml").write_text("[server]\n[authentication]\n[[callers]]\n" + LAYER)
    assert codes(problems(pair, config)) == [("pdp.toml", "operators-section")] * 3
    config.write_text(LAYER)
    assert ("server.toml", "unknown-key") in codes(problems(pair, config))
    absent = problems(pair, config.parent / "absent.toml")
    assert ("absent.toml", "missing-file") in codes(absent)


def test_a_directory_that_is_none_is_a_problem(tmp_path: Path) -> None:
    assert codes(problems(tmp_path / "absent"))[0][1] == "missing-directory"


def test_a_directory_without_a_policy_says_what_it_wants(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)
    assert found.code == "no-policy"
    assert "pdp init" in found.help


def test_what_is_no_regular_file_is_a_problem(pair: Path) -> None:
    (pair / "policy.csv").unlink()
    (pair / "policy.csv").mkdir()
    assert ("policy.csv", "missing-file") in codes(problems(pair))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [("", "no-digest", None), ("# x\nsecret-key\n", "bad-digest", 2), ("ab" * 31, "bad-digest", 1)],
)
def test_a_callers_file_holds_digests_only(
    pair: Path, text: str, code: str, line: int | None
) -> None:
    (pair / "pdp.toml").write_text('[[callers]]\nname = "a"\nkey_sha256_file = "k"\n' + LAYER)
    (pair / "k").write_text(text)
    (found,) = problems(pair)
    assert (found.file, found.code, found.line) == ("k", code, line)
    assert "secret-key" not in str(found)


def test_two_callers_of_one_name_are_a_problem(pair: Path) -> None:
    caller = '[[callers]]\nname = "a"\nkey_sha256_file = "k"\n'
    (pair / "pdp.toml").write_text(caller * 2 + LAYER)
    (pair / "k").write_text("ab" * 32)
    assert codes(problems(pair)) == [("pdp.toml", "duplicate-caller")]


def test_the_revision_names_the_bytes_of_all_policy_files(pair: Path) -> None:
    first = load(pair).snapshot.revision
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first)
    assert load(pair).snapshot.revision == first
    (pair / "notes.txt").write_text("not a policy file")
    assert load(pair).snapshot.revision == first
    (pair / "entities.json").write_text("[]")
    with_entities = load(pair).snapshot.revision
    assert with_entities != first
    (pair / "policy.csv").write_text("p, alice, data1, read \n")
    assert load(pair).snapshot.revision not in {first, with_entities}


# Between any two times that `pdp.toml` is opened, somebody puts another one there.
SWAPPING = """
import os, sys
from pathlib import Path
from pdp.runtime.load import load

directory = Path(sys.argv[1])
file, opened = str(directory / "pdp.toml"), []

def swap(event, arguments):
    if event == "open" and str(arguments[0]) == file:
        opened.append(file)
        if len(opened) > 1:
            os.link(directory / "other.toml", directory / "new.toml")
            os.replace(directory / "new.toml", file)

sys.addaudithook(swap)
loaded = load(directory)
print(loaded.snapshot.revision, len(loaded.snapshot.hidden), len(opened))
opened.clear()
loaded = loaded.again()
print(loaded.snapshot.revision, len(loaded.snapshot.hidden), len(opened))
"""


def test_the_settings_that_count_are_those_that_the_revision_names(pair: Path) -> None:
    (pair / "pdp.toml").write_text(f'[concealment]\nresources = ["/hid/*"]\n{LAYER}')
    (pair / "other.toml").write_text(LAYER)
    revision = load(pair).snapshot.revision
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", SWAPPING, str(pair)], capture_output=True, text=True, check=False
    )
    assert found.stdout.splitlines() == [f"{revision} 1 1"] * 2, found.stderr


ENTITY = '{"type": "user", "id": "a", "properties": {}}'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "bad-entity"),
        ("[1]", "bad-entity"),
        ('[{"type": "user"}]', "bad-entity"),
        ('[{"type": "user", "id": "a", "extra": 1}]', "bad-entity"),
        (f"[{ENTITY}, {ENTITY}]", "duplicate-entity"),
        ("[", "bad-json"),
        ('[{"id": "a", "id": "b"}]', "bad-json"),
    ],
)
def test_entities_are_checked(pair: Path, text: str, code: str) -> None:
    (pair / "entities.json").write_text(text)
    assert ("entities.json", code) in codes(problems(pair))
