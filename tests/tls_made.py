"""Certificates made on the spot: an authority, servers, and clients with names."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    cert: Path
    key: Path

    def write(self, other: Pair) -> None:
        """Take over what another one holds, as who renews certificates does."""
        self.cert.write_bytes(other.cert.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


class Authority:
    """Issues certificates into a directory; `ca` is its own."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        basics = x509.BasicConstraints(ca=True, path_length=None)
        builder = _builder(self._name, self._name, self._key.public_key())
        made = builder.add_extension(basics, critical=True).sign(self._key, hashes.SHA256())
        self.ca = directory / f"{name}.pem"
        self.ca.write_bytes(made.public_bytes(Encoding.PEM))
        self._certificate = made

    def issue(
        self,
        file: str,
        *names: x509.GeneralName,
        cn: str = "pdp",
        begins: dt.timedelta = dt.timedelta(minutes=-1),
        usage: str | None = None,
    ) -> Pair:
        """A certificate for an hour, with these names beside the subject's."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(cn), self._name, key.public_key(), begins)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None:
            known = {"server": ExtendedKeyUsageOID.SERVER_AUTH}
            builder = builder.add_extension(x509.ExtendedKeyUsage([known[usage]]), critical=True)
        return self._kept(file, key, builder.sign(self._key, hashes.SHA256()))

    def issued_by_leaf(self, file: str, *names: x509.GeneralName) -> Pair:
        """One that a certificate of this authority has signed, which is no authority."""
        between, key = ec.generate_private_key(ec.SECP256R1()), self._key
        middle = _builder(_named("leaf"), self._name, between.public_key())
        chain = middle.sign(key, hashes.SHA256())
        own = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named("pdp"), _named("leaf"), own.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        pair = self._kept(file, own, builder.sign(between, hashes.SHA256()))
        with pair.cert.open("ab") as appended:
            appended.write(chain.public_bytes(Encoding.PEM))
        return pair

    def _kept(self, file: str, key: ec.EllipticCurvePrivateKey, made: x509.Certificate) -> Pair:
        pair = Pair(self._directory / f"{file}.pem", self._directory / f"{file}.key")
        pair.cert.write_bytes(made.public_bytes(Encoding.PEM))
        pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return pair

    def server(self, file: str = "server") -> Pair:
        """A certificate for loopback."""
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return self.issue(file, address, x509.DNSName("localhost"))

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """How a client speaks that trusts this authority, with its own certificate if given."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context


def spiffe(path: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(f"spiffe://test.internal/{path}")


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begins: dt.timedelta = dt.timedelta(minutes=-1),
) -> x509.CertificateBuilder:
    first = dt.datetime.now(dt.UTC) + begins
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(first + dt.timedelta(minutes=61))
    )
