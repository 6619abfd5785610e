"""Headers that some applications take another path, method or host from than was judged."""

from __future__ import annotations

import pytest
from gateway_cases import ALICE
from gateway_processes import Live, new_client

# Header -> what a client would say to have something else served than was judged.
OVERRIDES = {
    "Forwarded": "for=127.0.0.130;host=evil.test;proto=https",
    "True-Client-IP": "127.0.0.130",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Method": "DELETE",
    "X-Forwarded-Port": "4443",
    "X-Forwarded-Prefix": "/admin",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Server": "evil.test",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Uri": "/admin",
    "X-HTTP-Method": "DELETE",
    "X-HTTP-Method-Override": "DELETE",
    "X-Host": "evil.test",
    "X-Method-Override": "DELETE",
    "X-Original-Host": "evil.test",
    "X-Original-Method": "DELETE",
    "X-Original-URI": "/admin",
    "X-Original-URL": "/admin",
    "X-Real-IP": "127.0.0.130",
    "X-Rewrite-URL": "/admin",
}
SEPARATORS = "-_."  # which servers that make variables of names read alike
FACTS = ("action", "resource", "subject", "status")


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_reaches_neither_the_decision_nor_the_application(
    live: Live, name: str, separator: str
) -> None:
    lie = OVERRIDES[name]
    _, [honest], [_] = live.judge("GET", "/invoices/7", [ALICE])
    for spelt in (name.replace("-", separator), name.lower().replace("-", separator, 1)):
        fields = [(spelt, lie), (spelt, lie), ALICE]
        client = new_client()
        response, decisions, seen = live.judge("GET", "/invoices/7", fields, source=client)
        assert (response.status, len(seen)) in ((200, 1), (400, 0))  # or refused for its spelling
        if separator == "-":
            assert response.status == 200
        assert decisions or response.status == 400
        for decision in decisions:
            assert [decision[f] for f in FACTS] == [honest[f] for f in FACTS]
            assert decision["ip"] == client
        for request in seen:
            assert lie not in {value for _, value in request["headers"]}


def test_the_page_for_a_404_is_asked_for_without_overrides(live: Live) -> None:
    live.app.take()
    lies = [(name, f"/lie-{name}") for name in OVERRIDES if name != "X-Forwarded-Port"]
    response = live.ask("GET", "/ghost", [*lies, ALICE])
    assert response.status == 404
    told = [value for seen in live.app.take() for _, value in seen["headers"]]
    assert not [value for value in told if "/lie-" in value]


def test_what_the_application_is_told_of_the_request_is_the_gateways(live: Live) -> None:
    lies = [(name, OVERRIDES[name]) for name in ("X-Forwarded-Host", "X-Forwarded-Proto")]
    client = new_client()
    _, _, [seen] = live.judge("GET", "/docs/a", lies, source=client)
    told = {name.lower(): value for name, value in seen["headers"]}
    assert told.get("x-forwarded-host", told["host"]) == told["host"] == "app.test"
    assert told["x-forwarded-proto"] == "http"
    assert told["x-forwarded-for"] == client
    assert told.get("x-real-ip", client) == client
