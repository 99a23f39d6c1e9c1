"""A certificate authority for the lab's registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=30)


def name(text: str) -> x509.Name:
    """An X.509 name with only a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificates(folder: Path, address: str) -> None:
    """Write ca.crt, tls.crt and tls.key for an address; the authority's key is not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    issuer = name("Millrace lab")

    public = authority_key.public_key()
    is_authority = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )

    def certificate(
        subject: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + LIFETIME)
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints | x509.KeyUsage)
            builder = builder.add_extension(extension, critical=critical)
        # Strict clients require these.
        own = x509.SubjectKeyIdentifier.from_public_key(key)
        issuers = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
        builder = builder.add_extension(own, critical=False).add_extension(issuers, critical=False)
        return builder.sign(authority_key, hashes.SHA256())

    constraints = x509.BasicConstraints(ca=True, path_length=0)
    authority = certificate(issuer, public, constraints, is_authority)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))])
    server = certificate(name(address), server_key.public_key(), names)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(authority.public_bytes(pem))
    (folder / "tls.crt").write_bytes(server.public_bytes(pem))
    (folder / "tls.key").touch(mode=0o600)
    (folder / "tls.key").write_bytes(
        server_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
