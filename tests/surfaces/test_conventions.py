from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from pdp.answer.profiles import Profile
from pdp.errors import RequestError
from pdp.model import Action, Entity, Query
from pdp.runtime.settings import parse_networks
from pdp.surfaces.asked import RESOURCE_TEMPLATES, Asked, Reading
from pdp.surfaces.conventions import (
    CONVENTIONS,
    ENVOY,
    FORWARD,
    INGRESS,
    NGINX,
    Convention,
    Line,
    read_asked,
)

Fields = Iterable[tuple[str, str]]
TRUSTED = parse_networks(["127.0.0.1/32"])
OF_FORWARD = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/invoices/7?download=1",
    "X-Forwarded-Host": "API.example.com",
    "X-Forwarded-For": "203.0.113.9, 127.0.0.1",
    "X-Forwarded-Proto": "https",
}
OF_NGINX = {
    "X-Original-Method": "GET",
    "X-Original-URI": "/invoices/7?download=1",
    "X-Forwarded-Host": "API.example.com",
    "X-Forwarded-For": "203.0.113.9, 127.0.0.1",
}
OF_INGRESS = {
    "X-Original-Method": "GET",
    "X-Original-URL": "https://API.example.com/invoices/7?download=1",
    "X-Forwarded-For": "203.0.113.9, 127.0.0.1",
}
OF_ENVOY = {"Host": "API.example.com", "X-Forwarded-For": "203.0.113.9, 127.0.0.1"}
SENT = {FORWARD: OF_FORWARD, NGINX: OF_NGINX, INGRESS: OF_INGRESS, ENVOY: OF_ENVOY}
LINE = Line("GET", "/invoices/7?download=1")
EACH_HEADER = [(convention, name) for convention, sent in SENT.items() for name in sent]
OTHERS = {
    "X-Original-URL": "http://h/admin",
    "X-Real-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6;host=h",
    "Host": "pdp:7373",
    "X-HTTP-Method-Override": "DELETE",
    "X_Forwarded_For": "6.6.6.6",
}


def headers(fields: Fields) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(fields))


def ask(convention: Convention, fields: Fields, reading: Reading, line: Line = LINE) -> Asked:
    return read_asked(convention, line, headers(fields), reading)


def read(convention: Convention, fields: Fields, template: str = "{path}") -> Query:
    return ask(convention, fields, Reading(TRUSTED, template)).query


def test_each_convention_has_its_endpoint_and_profile() -> None:
    assert [(c.name, c.path, c.profile) for c in CONVENTIONS] == [
        ("forward", "/authz/forward", Profile.PLAIN),
        ("nginx", "/authz/nginx", Profile.NGINX),
        ("ingress", "/authz/ingress", Profile.NGINX),
        ("envoy", "/authz/envoy", Profile.ENVOY),
    ]


def test_forward_reads_the_question() -> None:
    context = {"ip": "203.0.113.9", "host": "api.example.com", "scheme": "https"}
    assert read(FORWARD, OF_FORWARD.items()) == Query(
        Action("GET"), Entity("resource", "/invoices/7"), context
    )


def test_nginx_reads_the_question_and_knows_no_scheme() -> None:
    fields = [*OF_NGINX.items(), ("X-Forwarded-Proto", "gopher")]
    assert read(NGINX, fields) == Query(
        Action("GET"),
        Entity("resource", "/invoices/7"),
        {"ip": "203.0.113.9", "host": "api.example.com"},
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_header_names_ignore_case(convention: Convention) -> None:
    sent = SENT[convention]
    lower = [(name.lower(), value) for name, value in sent.items()]
    assert read(convention, lower) == read(convention, sent.items())


@pytest.mark.parametrize(("convention", "name"), EACH_HEADER)
def test_a_missing_header_is_refused_whatever_other_conventions_say(
    convention: Convention, name: str
) -> None:
    sent = {**OF_NGINX, **OF_FORWARD, **OTHERS, **SENT[convention]}
    del sent[name]
    with pytest.raises(RequestError) as caught:
        read(convention, sent.items())
    assert str(caught.value) == f"{name}: is missing"


@pytest.mark.parametrize(("convention", "name"), EACH_HEADER)
def test_a_repeated_header_is_refused_unless_it_is_the_chain_of_addresses(
    convention: Convention, name: str
) -> None:
    sent = [*SENT[convention].items(), (name, SENT[convention][name])]
    if name == "X-Forwarded-For":
        assert read(convention, sent).context["ip"] == "203.0.113.9"
        return
    with pytest.raises(RequestError) as caught:
        read(convention, sent)
    assert str(caught.value) == f"{name}: is repeated"


@pytest.mark.parametrize("bad", ["", "\0", "a, b", "%", "é"])
@pytest.mark.parametrize(("convention", "name"), EACH_HEADER)
def test_a_header_that_cannot_be_understood_is_named(
    convention: Convention, name: str, bad: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read(convention, {**SENT[convention], name: bad if bad != "%" else "/%"}.items())
    assert caught.value.field == name


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_other_conventions_headers_change_nothing(convention: Convention) -> None:
    others = {**OF_NGINX, **OF_FORWARD, "X-Original-URI": "/admin", "X-Forwarded-Uri": "/admin"}
    others |= {"X-Original-Method": "DELETE", "X-Forwarded-Method": "DELETE"}
    sent = SENT[convention]
    assert read(convention, {**others, **OTHERS, **sent}.items()) == read(convention, sent.items())


@pytest.mark.parametrize("scheme", ["HTTPS", "ws", "https,http", " https"])
def test_the_scheme_is_http_or_https(scheme: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(FORWARD, {**OF_FORWARD, "X-Forwarded-Proto": scheme}.items())
    assert caught.value.field == "X-Forwarded-Proto"


def test_the_method_is_not_folded() -> None:
    assert read(NGINX, {**OF_NGINX, "X-Original-Method": "get"}.items()).action.name == "get"


@pytest.mark.parametrize(
    ("template", "resource"),
    [("{path}", "/invoices/7"), ("{host}{path}", "api.example.com/invoices/7")],
)
def test_the_template_says_what_the_resource_is(template: str, resource: str) -> None:
    assert read(FORWARD, OF_FORWARD.items(), template).resource.id == resource


@pytest.mark.parametrize("template", RESOURCE_TEMPLATES)
def test_a_path_is_not_taken_for_a_template(template: str) -> None:
    sent = {**OF_NGINX, "X-Original-URI": "/{host}{path}{0.a}"}
    assert read(NGINX, sent.items(), template).resource.id.endswith("/{host}{path}{0.a}")


def test_an_exempted_resource_is_matched_as_it_came() -> None:
    sent = {**OF_NGINX, "X-Original-URI": "/npm/@s%2fn"}.items()
    asked = ask(NGINX, sent, Reading(exempt=lambda path: path.startswith("/npm/")))
    assert asked.query.resource.id == "/npm/@s%2Fn"
    with pytest.raises(RequestError):
        ask(NGINX, sent, Reading(exempt=lambda path: path.startswith("/git/")))


@pytest.mark.parametrize(
    ("fact", "name"), [("origin", "Origin"), ("referer", "Referer"), ("user_agent", "User-Agent")]
)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([], None, id="absent"),
        pytest.param(["https://a.example/b"], "https://a.example/b", id="one"),
        pytest.param(["é b"], "é b", id="printable text"),
        pytest.param(["a" * 2048], "a" * 2048, id="2 kB"),
        pytest.param([""], None, id="empty"),
        pytest.param(["a", "a"], None, id="several"),
        pytest.param(["a" * 2049], None, id="over 2 kB"),
        pytest.param(["a\tb"], None, id="control"),
        pytest.param(["a\x85"], None, id="c1 control"),
        pytest.param(["a\udcff"], None, id="not utf-8"),
    ],
)
def test_a_fact_is_taken_or_absent(
    fact: str, name: str, values: list[str], expected: str | None
) -> None:
    fields = [*OF_FORWARD.items(), *((name, value) for value in values)]
    context = read(FORWARD, fields).context
    assert context.get(fact) == expected
    assert (fact in context) is (expected is not None)


def refusal(read: Callable[[], object]) -> RequestError | None:
    try:
        read()
    except RequestError as error:
        return error
    return None


TEXT = st.text("/%.:,;AB0[] \0é\udcff", max_size=20)


@given(
    st.sampled_from(CONVENTIONS),
    st.dictionaries(st.sampled_from([*OF_FORWARD, *OF_NGINX, "Origin"]), TEXT),
)
def test_only_a_request_error_is_raised_and_it_quotes_nothing(
    convention: Convention, changes: dict[str, str]
) -> None:
    sent = {**SENT[convention], **changes}
    error = refusal(lambda: read(convention, sent.items()))
    if error is None:
        return
    assert error.field in SENT[convention]
    sequences = {v[i : i + 4] for v in changes.values() for i in range(len(v) - 3)}
    assert not any(sequence in error.problem for sequence in sequences)
