"""Casbin models and rows, compiled into an immutable snapshot that answers for itself."""
