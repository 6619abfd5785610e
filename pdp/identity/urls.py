"""Which URLs keys and verdicts on tokens may come from."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_safe_url(url: str) -> bool:
    """Whether `url` is https, or http on loopback, and holds no user name or password."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    if not usable or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_discoverable(issuer: str) -> bool:
    """Whether OpenID Connect Discovery can begin at `issuer`: a URL without query and fragment."""
    return is_safe_url(issuer) and not {"?", "#"} & {*issuer}
