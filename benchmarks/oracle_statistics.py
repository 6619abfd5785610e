"""Tells whether two kinds of times can be told apart: by their ranks, and by medians of blocks."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

BLOCK = 50  # rounds whose medians are compared: what drifts over the run is the same within one
SURE = 4.0  # standard errors: by chance in one run of sixteen thousand


def superiority(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """How often one of `some` is the larger of a pair, and how many standard errors from half.

    That is Mann and Whitney's U over the number of pairs, and its normal approximation.
    """
    ranked = sorted([(value, 0) for value in some] + [(value, 1) for value in others])
    ranks, begin = 0.0, 0
    while begin < len(ranked):
        end = begin
        while end < len(ranked) and ranked[end][0] == ranked[begin][0]:
            end += 1
        equal = sum(1 for _, whose in ranked[begin:end] if whose == 0)
        ranks += equal * (begin + 1 + end) / 2  # equal values share the mean of their ranks
        begin = end
    m, n = len(some), len(others)
    u = ranks - m * (m + 1) / 2
    return u / (m * n), (u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)


def shift(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """By how much `some` are larger, from medians of blocks, and that in standard errors."""
    found = [
        statistics.median(some[at : at + BLOCK]) - statistics.median(others[at : at + BLOCK])
        for at in range(0, min(len(some), len(others)), BLOCK)
    ]
    error = statistics.stdev(found) / math.sqrt(len(found)) if len(found) > 1 else math.inf
    mean = statistics.fmean(found)
    return mean, mean / error if error else math.copysign(math.inf, mean)


def compare(times: Mapping[str, Sequence[float]], some: str, others: str) -> dict[str, Any]:
    """What two kinds have in common; told apart if both statistics are sure."""
    chance, sigmas = superiority(times[some], times[others])
    median, errors = shift(times[some], times[others])
    return {
        "pair": f"{some} - {others}",
        "median_us": round(median, 2),
        "standard_errors": round(errors, 1),
        "larger_of_a_pair": round(chance, 4),
        "u_sigmas": round(sigmas, 1),
        "told_apart": min(abs(errors), abs(sigmas)) > SURE,
    }
