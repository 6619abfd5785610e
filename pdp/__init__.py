"""A policy decision point: the right status code, for a reason one can see."""

__version__ = "0.1.0"
