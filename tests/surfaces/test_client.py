from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.errors import RequestError
from pdp.runtime.settings import parse_networks
from pdp.surfaces.client import client_address, parse_address, parse_host

FIELD = "X-Forwarded-For"
TRUSTED = parse_networks(["127.0.0.1/32", "::1/128", "10.0.0.0/8"])


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", id="v4"),
        pytest.param("2001:DB8:0:0::1", "2001:db8::1", id="v6"),
        pytest.param("::ffff:10.1.2.3", "10.1.2.3", id="mapped, dotted"),
        pytest.param("::FFFF:a01:203", "10.1.2.3", id="mapped, hex"),
        pytest.param("::1", "::1", id="loopback"),
    ],
)
def test_an_address_becomes_canonical(text: str, canonical: str) -> None:
    assert parse_address(text, field=FIELD) == canonical


NO_ADDRESS = [
    pytest.param("", id="empty"),
    pytest.param("unknown", id="word"),
    pytest.param("010.0.0.1", id="leading zero"),
    pytest.param("10.1", id="short"),
    pytest.param("0x7f.0.0.1", id="hexadecimal"),
    pytest.param("2130706433", id="number"),
    pytest.param("256.0.0.1", id="out of range"),
    pytest.param("10.0.0.1:80", id="v4 with a port"),
    pytest.param("[::1]", id="brackets"),
    pytest.param("[::1]:80", id="v6 with a port"),
    pytest.param("fe80::1%eth0", id="zone id"),
    pytest.param("10.0.0.0/8", id="network"),
    pytest.param("10.0.0.1\n", id="line feed"),
    pytest.param("\u0661.1.1.1", id="other digits"),
    pytest.param("1:2:3:4:5:6:7:8:9", id="too many groups"),
    pytest.param("1" * 100_000, id="long"),
]


@pytest.mark.parametrize("text", NO_ADDRESS)
def test_what_is_not_an_address_is_refused(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_address(text, field=FIELD)
    assert str(caught.value) == "X-Forwarded-For: is not an ip address"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(["203.0.113.9"], "203.0.113.9", id="one"),
        pytest.param(["6.6.6.6, 203.0.113.9"], "203.0.113.9", id="a prepended entry is ignored"),
        pytest.param(["6.6.6.6, 203.0.113.9, 10.0.0.1"], "203.0.113.9", id="trusted are skipped"),
        pytest.param(["203.0.113.9", "10.0.0.1,\t10.0.0.2"], "203.0.113.9", id="lines in order"),
        pytest.param(["10.0.0.1", "6.6.6.6"], "6.6.6.6", id="the last line counts"),
        pytest.param(["10.0.0.1, 127.0.0.1"], "10.0.0.1", id="all trusted: the left-most"),
        pytest.param(["203.0.113.9,::ffff:10.0.0.1"], "203.0.113.9", id="mapped is trusted, too"),
        pytest.param(["unknown, 203.0.113.9"], "203.0.113.9", id="garbage on the left is unread"),
        pytest.param([", 203.0.113.9"], "203.0.113.9", id="an empty entry on the left is unread"),
        pytest.param(["6.6.6.6," * 5000 + "7.7.7.7"], "7.7.7.7", id="a long chain is not walked"),
        pytest.param(["6.6.6.6" + ",::1" * 31], "6.6.6.6", id="as many as are looked at"),
        pytest.param([",".join(["::1"] * 32)], "::1", id="all trusted, as many as looked at"),
    ],
)
def test_the_client_is_the_right_most_entry_that_is_not_trusted(
    values: Sequence[str], expected: str
) -> None:
    assert client_address(values, TRUSTED, field=FIELD) == expected


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no line"),
        pytest.param([""], id="empty line"),
        pytest.param(["203.0.113.9,"], id="empty entry last"),
        pytest.param(["203.0.113.9", ""], id="empty line last"),
        pytest.param(["203.0.113.9, unknown"], id="garbage last"),
        pytest.param(["203.0.113.9, unknown, 10.0.0.1"], id="garbage before a trusted one"),
        pytest.param(["203.0.113.9:80"], id="port"),
        pytest.param(["6.6.6.6" + ",::1" * 32], id="more trusted entries than are looked at"),
    ],
)
def test_a_chain_that_cannot_be_read_is_refused(values: Sequence[str]) -> None:
    with pytest.raises(RequestError) as caught:
        client_address(values, TRUSTED, field=FIELD)
    assert caught.value.field == FIELD


def test_with_nothing_trusted_the_last_entry_is_the_client() -> None:
    assert client_address(["6.6.6.6, 127.0.0.1"], (), field=FIELD) == "127.0.0.1"


def test_networks_of_a_configuration() -> None:
    assert [str(n) for n in parse_networks(["10.0.0.0/8", "::1", "10.1.2.3"])] == [
        "10.0.0.0/8",
        "::1/128",
        "10.1.2.3/32",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("10.0.0.1/8", id="host bits"),
        pytest.param("2001:db8::1/64", id="host bits, v6"),
        pytest.param("10.0.0.0/33", id="prefix out of range"),
        pytest.param("010.0.0.0/8", id="leading zero"),
        pytest.param("::ffff:10.0.0.0/104", id="mapped never matches"),
        pytest.param("fe80::%eth0/64", id="zone id"),
        pytest.param("", id="empty"),
    ],
)
def test_a_network_that_is_not_one_is_refused_at_load(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_networks(["10.0.0.0/8", text])


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        pytest.param("Api.Example.COM", "api.example.com", id="lower case"),
        pytest.param("example.com:8443", "example.com", id="port"),
        pytest.param("my_app-1", "my_app-1", id="container name"),
        pytest.param("10.0.0.1:80", "10.0.0.1", id="v4"),
        pytest.param("[2001:DB8::0:1]:443", "[2001:db8::1]", id="v6 keeps its brackets"),
        pytest.param("[::1]", "[::1]", id="v6 without a port"),
        pytest.param("a" * 255 + ":65535", "a" * 255, id="bound"),
    ],
)
def test_a_host_becomes_canonical(value: str, canonical: str) -> None:
    assert parse_host(value, field="X-Forwarded-Host") == canonical


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("a,b", id="comma"),
        pytest.param("a, b", id="two hosts"),
        pytest.param("a b", id="space"),
        pytest.param("a\n", id="line feed"),
        pytest.param("a\0", id="nul"),
        pytest.param("user@a", id="userinfo"),
        pytest.param("a/b", id="path"),
        pytest.param("a%2eb", id="encoded"),
        pytest.param("é.example", id="non-ascii"),
        pytest.param("\u212a.example", id="kelvin sign, k in lower case"),
        pytest.param("a.", id="trailing dot"),
        pytest.param("a..b", id="empty label"),
        pytest.param(".a", id="leading dot"),
        pytest.param(":80", id="port only"),
        pytest.param("a:", id="empty port"),
        pytest.param("a:080", id="port with a leading zero"),
        pytest.param("a:0", id="port zero"),
        pytest.param("a:65536", id="port out of range"),
        pytest.param("a:80:80", id="two ports"),
        pytest.param("::1", id="v6 without brackets"),
        pytest.param("[::1", id="open bracket"),
        pytest.param("[::1]x", id="text behind the bracket"),
        pytest.param("[10.0.0.1]", id="v4 in brackets"),
        pytest.param("[fe80::1%eth0]", id="zone id"),
        pytest.param("a" * 256, id="too long"),
    ],
)
def test_what_is_not_one_host_is_refused(value: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_host(value, field="X-Forwarded-Host")
    assert caught.value.field == "X-Forwarded-Host"
    assert caught.value.__cause__ is None


PROBLEMS = {
    "is not an ip address",
    "is not one host",
    "is too long",
    "holds too many entries",
}


def refusal(read: Callable[[], object]) -> RequestError | None:
    try:
        read()
    except RequestError as error:
        return error
    return None


HOSTILE = st.text() | st.text("0123456789ABCDEF:.,[]%@ \t\0-_", max_size=60)


@given(HOSTILE)
def test_nothing_but_a_request_error_is_raised_and_it_quotes_nothing(text: str) -> None:
    readers: tuple[Callable[[], str], ...] = (
        lambda: parse_address(text, field=FIELD),
        lambda: client_address([text, text], TRUSTED, field=FIELD),
        lambda: parse_host(text, field=FIELD),
    )
    for error in map(refusal, readers):
        assert error is None or error.problem in PROBLEMS


@given(st.ip_addresses())
def test_a_canonical_address_parses_to_itself(address: object) -> None:
    canonical = parse_address(str(address), field=FIELD)
    assert parse_address(canonical, field=FIELD) == canonical
    assert client_address([f"6.6.6.6 , {address} "], (), field=FIELD) == canonical


@given(HOSTILE | st.from_regex(r"[a-z0-9.-]{1,20}(:[0-9]{1,5})?", fullmatch=True))
def test_a_canonical_host_parses_to_itself(value: str) -> None:
    try:
        canonical = parse_host(value, field=FIELD)
    except RequestError:
        return
    assert parse_host(canonical, field=FIELD) == canonical
