"""Indexes over rules: from a request to the rows that can match it, without looking at the rest."""
