"""Candidates of a search: what the open part of a question can be, before it is judged."""
