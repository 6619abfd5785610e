"""Verdicts to HTTP answers, as tables: profiles, challenges, bodies."""
