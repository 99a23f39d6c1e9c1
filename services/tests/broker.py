"""A broker that can do one thing: SCRAM-SHA-512 over TLS, for one user."""

import base64
import hashlib
import hmac
import socket
import ssl
import struct
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "producer", "correct horse"
SALT, ITERATIONS = b"salt", 4096
AUTHENTICATION_FAILED = 58


def certificate(directory: Path, name: str) -> Path:
    """A self-signed certificate for a host name, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = directory / f"{name}.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


class Broker:
    """Listens on loopback until closed; `silent` accepts connections and says nothing."""

    def __init__(
        self, pem: Path, *, silent: bool = False, mechanism: str = "SCRAM-SHA-512"
    ) -> None:
        self._silent = silent
        self._mechanism = mechanism
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain, suppress(OSError):
                plain.settimeout(5)
                # Python forgets to close what it wraps when the client has gone before.
                plain.recv(1, socket.MSG_PEEK)
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    if self._silent:
                        connection.recv(1024)
                        connection.recv(1024)
                    else:
                        self._login(connection)

    def _login(self, connection: ssl.SSLSocket) -> None:
        correlation, mechanism = _request(connection)
        known = mechanism[2:].decode() == self._mechanism
        offered = self._mechanism.encode()
        answer = struct.pack(">hih", 0 if known else 33, 1, len(offered)) + offered
        _respond(connection, correlation, answer)
        if not known:
            return
        correlation, token = _request(connection)
        client_first = token[4:].decode().removeprefix("n,,")
        user, nonce = (part[2:] for part in client_first.split(","))
        server_first = f"r={nonce}x,s={base64.b64encode(SALT).decode()},i={ITERATIONS}"
        _respond(connection, correlation, _authenticated(server_first.encode()))
        correlation, token = _request(connection)
        bare, _, proof = token[4:].decode().rpartition(",p=")
        message = f"{client_first},{server_first},{bare}".encode()
        salted = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), SALT, ITERATIONS)
        client_key = hmac.digest(salted, b"Client Key", "sha512")
        stored = hashlib.sha512(client_key).digest()
        signature = hmac.digest(stored, message, "sha512")
        expected = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        if user != USER or base64.b64decode(proof) != expected:
            _respond(
                connection,
                correlation,
                struct.pack(">hhi", AUTHENTICATION_FAILED, -1, 0) + bytes(8),
            )
            return
        server_key = hmac.digest(salted, b"Server Key", "sha512")
        server_signature = hmac.digest(server_key, message, "sha512")
        final = b"v=" + base64.b64encode(server_signature)
        _respond(connection, correlation, _authenticated(final))


def _request(connection: ssl.SSLSocket) -> tuple[int, bytes]:
    """The correlation id and the body of the next request."""
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    frame = _exactly(connection, size)
    correlation, client = struct.unpack(">ih", frame[4:10])
    return correlation, frame[10 + client :]


def _exactly(connection: ssl.SSLSocket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError
        received += chunk
    return received


def _respond(connection: ssl.SSLSocket, correlation: int, body: bytes) -> None:
    connection.sendall(struct.pack(">ii", 4 + len(body), correlation) + body)


def _authenticated(token: bytes) -> bytes:
    return struct.pack(">hhi", 0, -1, len(token)) + token + bytes(8)
