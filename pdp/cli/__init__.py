"""The commands; `serve` is the composition root."""
