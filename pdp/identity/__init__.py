"""Credentials to identities: pure but for the two Protocols that may wait."""
