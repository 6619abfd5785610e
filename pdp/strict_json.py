"""JSON as RFC 8259 means it and nothing more: for bodies, tokens and key sets alike."""

from __future__ import annotations

import functools
import json
import math
from typing import Any, NoReturn

import msgspec


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


def _constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError("a number is out of range")
    return int(text)


_LONGEST_INTEGER = 1_000  # digits; Python's own bound is 4,300, and its message names the length
_strict = functools.partial(
    json.JSONDecoder, object_pairs_hook=_members, parse_constant=_constant, parse_float=_float
)
_DECODER = _strict(parse_int=_int)
_DECODER_OF_SHORT = _strict()  # no integer is longer than the text that holds it
_QUICK = msgspec.json.Decoder(float_hook=_float)
_ENCODER = msgspec.json.Encoder()
_LONG = b"9" * _LONGEST_INTEGER
_AS_NINES = bytes.maketrans(b"012345678", b"9" * 9)


def loads(data: bytes) -> Any:
    """The value that `data` holds.

    ValueError, with a message that quotes nothing of `data`, for anything but one JSON text in
    UTF-8 without a byte-order mark: duplicate members, NaN, lone surrogates, numbers out of
    range, and nesting that exhausts the parser.
    """
    endless = len(data) > _LONGEST_INTEGER and _LONG in data.translate(_AS_NINES)
    if not endless and b"\\" not in data:
        try:
            value = _QUICK.decode(data)
            # A member that occurs twice is decoded once, and takes a colon with it; without
            # escapes, no text has another number of colons than its spelling.
            if _ENCODER.encode(value).count(b":") == data.count(b":"):
                return value
        except (ValueError, OverflowError, RecursionError):
            pass
    return _slowly(data)


def _slowly(data: bytes) -> Any:
    """The same, by a parser that says what is wrong."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if text.startswith("\ufeff"):
        raise ValueError("starts with a byte-order mark")
    decoder = _DECODER_OF_SHORT if len(text) <= _LONGEST_INTEGER else _DECODER
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, at byte {error.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not a character") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
