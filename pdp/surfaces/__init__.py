"""The ways of asking: they translate and never decide."""
