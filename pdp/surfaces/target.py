"""The one parser of request targets and methods: canonical text, or a refusal.

Servers read odd paths differently, and whoever can make the PDP and the upstream read one path
differently is let in. So what two servers could read differently is refused, not repaired.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote

from pdp.errors import RequestError
from pdp.policy.matcher.functions import compile_key_match2

_LONGEST: Final = 8192
_ROUNDS: Final = 4  # of decoding; a path that still changes then has no honest use

# Most paths: segments of unreserved characters, sub-delimiters, `:` and `@`, none of them dots.
_PLAIN: Final = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]++)*+/?+", re.ASCII)

_REFUSALS: Final = (
    (r"[\x00-\x1f\x7f]", "holds a control byte"),
    (r"[^\x00-\x7f]", "holds a byte that is not ascii"),
    (r" ", "holds a space"),
    (r"#", "holds a `#`"),
    (r"\\", "holds a backslash"),
    (r"//", "holds an empty segment"),
    (r"/\.\.?(?=/|\Z)", "holds a dot segment"),
    (r"%(?![0-9A-Fa-f]{2})", "holds a malformed percent-encoding"),
    (r"%2[Ee]", "holds an encoded dot"),
    (r"%(?:[01][0-9A-Fa-f]|7[Ff])", "holds an encoded control byte"),
)
_REFUSED: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _REFUSALS))

_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
# `.` is missing: an encoded one is refused.
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
_CANONICAL: Final = {
    f"%{byte:02X}": chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}" for byte in range(256)
}

_DELIMITER: Final = re.compile(r";|%(?:2F|5C|25|3B)")  # of canonical paths

# In decoded text: what an upstream would resolve away. Separators are both slashes, parameters
# after `;` are cut, and a `?` or `#` ends the path for servers that decode before they split.
_RESOLVED: Final = (
    (re.compile(r"[\x00-\x1f\x7f]"), "decodes to a control byte"),
    (re.compile(r"[/\\]\.\.?(?=[/\\;?#]|\Z)"), "decodes to a dot segment"),
    (re.compile(r"[/\\](?:;[^/\\]*+)?+[/\\]"), "decodes to an empty segment"),
)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


Exempt = Callable[[str], bool]  # whether a canonical path may hold encoded delimiters


def exempting(patterns: Sequence[str]) -> Exempt | None:
    """The exemption of paths that match one of these keyMatch2 patterns; None for no pattern."""
    matches = [compile_key_match2(pattern) for pattern in patterns]
    return (lambda path: any(match(path) for match in matches)) if matches else None


def parse_target(raw: str, *, field: str, exempt: Exempt | None = None) -> str:
    """The canonical path of an origin-form target (RFC 9112 §3.2.1), without its query.

    Encoded unreserved characters are decoded once; other encodings stay, in upper-case hex. A
    canonical path parses to itself. Where `exempt` says so of a canonical path, it may hold `;`
    and encoded slashes, backslashes, `%` and `;`; nothing else is ever exempted. Raises
    RequestError.
    """
    path = raw.partition("?")[0]
    if len(path) > _LONGEST:
        raise RequestError(field, "is longer than 8 kB")
    if not path.startswith("/"):
        raise RequestError(field, "does not start with a slash")
    if _PLAIN.fullmatch(path):
        return path
    refused = _REFUSED.search(path)
    if refused is not None and refused.lastindex is not None:
        raise RequestError(field, _REFUSALS[refused.lastindex - 1][1])
    canonical = _ENCODED.sub(lambda match: _CANONICAL[match[0].upper()], path)
    _refuse_resolved(_decoded(canonical, field), field)
    if _DELIMITER.search(canonical) and not (exempt is not None and exempt(canonical)):
        raise RequestError(field, "holds a `;` or an encoded delimiter")
    return canonical


def _decoded(path: str, field: str) -> str:
    """The path as the most eager reader sees it: decoded until nothing changes."""
    for _ in range(_ROUNDS):
        before = path
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            # Not chained: the error quotes the bytes. The caller sees a 400.
            raise RequestError(field, "decodes to bytes that are not utf-8") from None
        if path == before:
            return path
    raise RequestError(field, "is percent-encoded too often")


def _refuse_resolved(text: str, field: str) -> None:
    for pattern, problem in _RESOLVED:
        if pattern.search(text):
            raise RequestError(field, problem)
    # Full-width letters, ligatures, composed and decomposed accents: file systems, databases and
    # frameworks fold them. `/%EF%BD%81dmin` could be served as `/admin`, which a rule refuses;
    # U+2024 and U+FF0F could become the dots and slashes of a traversal. One spelling is let in.
    if not unicodedata.is_normalized("NFKC", text):
        raise RequestError(field, "decodes to text that is not in nfkc form")


def parse_method(raw: str, *, field: str) -> str:
    """A method (a token, RFC 9110 §9.1) exactly as it came: `get` is not `GET`."""
    if raw not in _METHODS and not _METHOD.fullmatch(raw):
        raise RequestError(field, "is not a method")
    return raw
