"""Buckets of a table: one pattern under a key, or several."""

from __future__ import annotations

from typing import Any, TypeVar

from pdp.gently import Wide, gently

Bucket = str | list[str]  # most keys have one pattern: a list for each would cost 64 bytes
K = TypeVar("K", str, int)
Buckets = dict[K, Bucket] | Wide[K, Bucket]


def put(table: Buckets[K], key: K, pattern: str) -> None:
    """Add a pattern under a key."""
    there = table.get(key)
    if there is None:
        table[key] = pattern
    elif isinstance(there, str):
        table[key] = [there, pattern]
    else:
        there.append(pattern)


def largest(table: Buckets[Any]) -> int:
    """How many patterns stand under one key, at most."""
    sizes = (1 if isinstance(bucket, str) else len(bucket) for bucket in gently(table.values()))
    return max(sizes, default=0)


def take(found: list[str], bucket: Bucket | None) -> None:
    """Add to `found` what stands in a bucket, if there is one."""
    if isinstance(bucket, str):
        found.append(bucket)
    elif bucket is not None:
        found.extend(bucket)
