"""The policy compiler: matcher text to three-valued closures."""
