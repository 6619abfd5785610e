"""What lives between requests: sources, keys, the live snapshot, metrics."""
