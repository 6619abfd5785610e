"""Heads as a whole: what is bounded, what has begun, and that nothing is parsed otherwise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web_protocol import RequestPayloadError
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.surfaces.heads import Heads

MOST = 4_096
TINY = b"".join(b"%03x:%03x\r\n" % (n, n) for n in range(100))


class Flow:
    """What a parser needs of a connection."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._reading_paused = False

    def pause_reading(self) -> None:
        self._reading_paused = True
        self._watched.heads.pause_reading()

    def resume_reading(self, **_: object) -> None:
        self._reading_paused = False


class Watched:
    """Heads, and what they told last."""

    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.made = 0
        self.cost, self.head, self.ended = 0, False, False
        self.waiting: list[Any] = []
        self.heads = Heads(self.fresh, MOST, self, self.waiting)

    def fresh(self) -> Any:
        self.made += 1
        return HttpRequestParser(
            cast(Any, Flow(self)),
            self.loop,
            2**18,
            max_line_size=MOST,
            max_field_size=MOST,
            max_headers=1_024,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=32,
        )

    def arrived(self) -> None:
        self.head = False

    def ends(self) -> None:
        self.ended = True

    def takes(self, _message: object, _content: object, _body: bytes, /) -> bool:
        return False

    def holds(self, cost: int, *, head: bool) -> None:
        self.cost, self.head = cost, head

    def feed(self, *pieces: bytes) -> list[tuple[Any, Any]]:
        """What is found, each answered at once."""
        found: list[tuple[Any, Any]] = []
        for piece in pieces:
            messages = self.heads.feed_data(piece)[0]
            for _ in messages:
                self.heads.message_consumed()
            found += messages
        return found


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    Watched.loop = asyncio.new_event_loop()
    yield
    Watched.loop.close()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def get(*fields: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def post(body: bytes) -> bytes:
    return b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(*parts: bytes) -> bytes:
    head = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


bodies = st.sampled_from([b"{}", b"a" * 300, b"\r\n\r\n", b"x\r\n\r\ny", get()[:20], b"0\r\n\r\n"])
requests = st.one_of(
    st.just(get()),
    st.just(get(TINY[:-2])),
    bodies.map(post),
    st.lists(bodies, max_size=3).map(lambda parts: chunked(*parts)),
)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at) if a < b]


def told(found: Sequence[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    return [(m.method, m.path, m.raw_headers, body.is_eof(), body.total_bytes) for m, body in found]


@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(0, 9_999), max_size=6))
@settings(max_examples=300, deadline=None)
def test_what_is_found_is_what_aiohttp_finds(asked: list[bytes], places: list[int]) -> None:
    ours, theirs = Watched(), Watched()
    pieces = cut(b"".join(asked), places)
    bare, plain = theirs.fresh(), []
    for piece in pieces:
        for message in bare.feed_data(piece)[0]:
            bare.message_consumed()
            plain.append(message)
    assert told(ours.feed(*pieces)) == told(plain)
    assert len(plain) == len(asked)


@given(requests, st.lists(st.integers(0, 9_999), max_size=4), st.integers(0, 60))
@settings(max_examples=300, deadline=None)
def test_a_head_that_has_begun_is_known_wherever_it_is_cut(
    asked: bytes, places: list[int], more: int
) -> None:
    """One request after the other: what stands behind the first is known to the byte.

    Behind chunks it is not: nothing but the next packet may follow these.
    """
    watched = Watched()
    behind = get(b"X-Begun: " + b"b" * 60)[:more]
    for last in (b"", behind):
        watched.feed(*cut(asked + last, places))
        if watched.ended:
            assert last
            assert b"chunked" in asked
            return
        assert watched.head is bool(last)
        assert (watched.cost > 0) is bool(last)
        if last:
            watched.feed(get(b"X-Begun: " + b"b" * 60)[more:])
            assert (watched.head, watched.cost) == (False, 0)


@given(st.lists(requests, min_size=2, max_size=5), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_among_many_at_once_none_that_has_begun_is_missed(asked: list[bytes], more: int) -> None:
    watched = Watched()
    watched.feed(b"".join(asked) + get(b"X-Begun: here")[:more])
    assert watched.ended is any(b"chunked" in one for one in asked)
    assert watched.head or b"chunked" in asked[-1]


def with_trailer(asked: bytes, trailer: bytes) -> bytes:
    """The same in chunks, with a trailer."""
    return asked.removesuffix(b"\r\n") + trailer + b"\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 2, 1_000], ids=["whole", "cut", "byte by byte"])
@pytest.mark.parametrize("trailer", [b"Authorization: Bearer x", b"0:", b"a: 0", b"X: y\r\nZ: 0"])
def test_a_connection_ends_behind_trailers(watched: Watched, trailer: bytes, pieces: int) -> None:
    data = with_trailer(chunked(b"{}", b"\r\n0\r\n"), trailer)
    size = -(-len(data) // pieces)
    watched.feed(*(data[at : at + size] for at in range(0, len(data), size)))
    assert watched.ended


@pytest.mark.parametrize("many", range(29, 36))
def test_nor_does_a_trailer_hide_among_what_the_parser_keeps(many: int) -> None:
    """Of many at once it takes some; the end of the packet is not that of the last of these."""
    watched = Watched()
    asked = get() * many + with_trailer(chunked(b"{}"), b"Authorization: x") + chunked(b"{}")
    found, _, _ = watched.heads.feed_data(asked)
    assert watched.ended or not any(message.chunked for message, _ in found)
    watched.waiting[:] = found
    while watched.waiting:
        watched.waiting.pop(0)
        watched.heads.message_consumed()
        more, _, _ = watched.heads.feed_data(b"")
        watched.waiting += more
        assert watched.ended or not any(message.chunked for message, _ in more)


@pytest.mark.parametrize("places", [[], [150], [-1], [-4], [-6, -3], range(400)], ids=str)
def test_it_goes_on_behind_chunks_without(watched: Watched, places: Sequence[int]) -> None:
    for _ in range(3):
        data = chunked(b"{" + b"a" * 100 + b"}", b"0\r\n\r\n")
        assert len(watched.feed(*cut(data, [place % len(data) for place in places]))) == 1
        assert (watched.ended, watched.head, watched.cost) == (False, False, 0)


def test_trailers_without_end_are_bounded_and_cost_what_they_take(watched: Watched) -> None:
    watched.feed(with_trailer(chunked(b"{}"), TINY)[:-4])
    assert watched.cost > 30_000
    with pytest.raises(BadHttpMessage):
        watched.feed(*[b"X: y\r\n"] * (MOST // 6 + 1))


@pytest.mark.parametrize("size", [1, 5, 100])
def test_small_chunks_are_no_trailers(watched: Watched, size: int) -> None:
    body = b"a" * 3 * MOST
    data = chunked(*(body[at : at + size] for at in range(0, len(body), size)))
    ((_, found),) = watched.feed(*cut(data, range(0, len(data), 1_500)))
    assert (found.is_eof(), found.total_bytes) == (True, len(body))
    assert (watched.ended, watched.cost) == (False, 0)


UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c"


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_behind_an_upgrade_nothing_may_stand_in_the_same_packet(body: bytes) -> None:
    asked = post(body).replace(b"Host", UPGRADE + b"\r\nHost")
    for pieces, ended in (
        ([asked, get()], False),
        ([asked[:-1], asked[-1:], get()], False),
        ([asked + get()], True),
        ([asked + get()[:5]], True),
        ([asked[:-1], asked[-1:] + get()], True),
    ):
        watched = Watched()
        watched.feed(*pieces)
        assert watched.ended is ended


def test_a_length_that_the_parser_takes_for_none_is_refused(watched: Watched) -> None:
    with pytest.raises(BadHttpMessage):
        watched.feed(get(b"Content-Length: %d" % (2**64 - 1)))


def test_what_is_asked_at_once_is_bounded_as_a_whole(watched: Watched) -> None:
    watched.feed(get(*[b"X: y"] * 60) * 32)
    with pytest.raises(BadHttpMessage):
        watched.feed(get(*[b"X: y"] * 70) * 32)


def test_a_body_that_is_to_come_is_no_head_and_costs_what_its_head_does(watched: Watched) -> None:
    (found,) = watched.feed(post(b"a" * 500)[:-300])
    assert not found[1].is_eof()
    assert (watched.head, 0 < watched.cost < 2_000) == (False, True)
    watched.feed(b"a" * 300)
    assert (watched.head, watched.cost) == (False, 0)


@pytest.mark.parametrize("size", [1, 100, 100_000], ids=str)
def test_a_head_is_bounded_as_a_whole(watched: Watched, size: int) -> None:
    fields = [b"X-%02d: " % n + b"a" * 500 for n in range(20)]
    data = get(*fields)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    with pytest.raises(BadHttpMessage):
        watched.feed(*pieces)
    fed = sum(map(len, pieces))
    assert fed > MOST


def test_a_head_without_an_end_is_not_waited_for(watched: Watched) -> None:
    many = MOST // len(b"X: y\r\n")
    watched.feed(get()[:-2], *[b"X: y\r\n"] * (many - 10))
    with pytest.raises(BadHttpMessage):
        watched.feed(*[b"X: y\r\n"] * 10)


def test_several_large_bodies_at_once_are_no_head(watched: Watched) -> None:
    large = post(b"a" * 2 * MOST)
    assert len(watched.feed(large * 3, large[:100], large[100:] + large, get())) == 6


def test_of_several_at_once_the_last_body_is_no_head(watched: Watched) -> None:
    for asked in (get() + post(b"{}"), post(b"\r\n\r\n{}") * 2, b"\r\n\r\n" + post(b"{}") * 3):
        watched.feed(asked)
        assert (watched.head, watched.cost) == (False, 0)


def test_a_body_that_is_not_read_yet_is_not_lost(watched: Watched) -> None:
    """It is as long as a parser takes at once, and its head is one of those not kept."""
    large = post(b"a" * 700_000).replace(b"Host", TINY + b"Host")
    (found,) = watched.feed(large)
    assert (found[1].is_eof(), found[1].total_bytes) == (False, 700_000)
    watched.feed(b"")
    assert found[1].is_eof()
    assert watched.made == 2
    assert len(watched.feed(get())) == 1


def test_a_head_that_just_fits_is_taken_whole_or_in_pieces(watched: Watched) -> None:
    data = get(*(b"X-%02d: " % n + b"a" * 500 for n in range(7)))
    assert MOST - 600 < len(data) < MOST
    assert len(watched.feed(data)) == 1
    assert len(watched.feed(*(data[at : at + 1] for at in range(len(data))))) == 1
    large = post(b"a" * 10 * MOST)
    assert len(watched.feed(large, large, *cut(large, [10, 200, 5_000]))) == 3


def test_short_fields_cost_what_they_take(watched: Watched) -> None:
    watched.feed(get(TINY)[:-4])
    assert watched.cost > 30_000  # a hundred of them are 900 bytes on the wire


def test_no_large_head_is_kept(watched: Watched) -> None:
    assert watched.made == 1
    watched.feed(get(), post(b"{}"), chunked(b"a"), get(b"X: y"))
    assert watched.made == 1
    for at, large in enumerate((get(TINY[:-2]), post(b"{}").replace(b"Host", TINY + b"Host"))):
        watched.feed(large)
        assert watched.made == 2 + at
    large = post(b"a" * 9_000)
    watched.feed(large[:-10])
    assert watched.made == 3
    watched.feed(large[-10:])
    assert watched.made == 4


def test_none_that_wait_are_lost_with_it(watched: Watched) -> None:
    many = (
        get(TINY[: 9 * 45 - 2]) * 40
    )  # the parser takes 32, and the others when these are answered
    found = len(watched.heads.feed_data(many)[0])
    for _ in range(found):
        watched.heads.message_consumed()
    assert (found, len(watched.feed(b""))) == (32, 8)
    assert watched.made == 1
