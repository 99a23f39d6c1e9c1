"""How long a client may take, and how much it may have: the one place for both."""

import msgspec

KIB, MIB = 1024, 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """Seconds are counted in total, not from byte to byte."""

    handshake_seconds: float = 10.0
    head_seconds: float = 10.0
    """From the first byte of a request on a connection that is kept, else from the handshake."""
    body_seconds: float = 30.0
    idle_seconds: float = 15.0
    """Between two requests."""
    send_seconds: float = 30.0
    """For what is left of an answer when it is made; for any byte of one that still goes on."""
    linger_seconds: float = 2.0
    """For the client to hang up after the last answer."""
    connections: int = 256
    """With one more, the one goes that has waited the longest for its client, idle ones first."""
    head_bytes: int = 32 * KIB
    body_bytes: int = 1 * MIB
    socket_bytes: int = 64 * KIB
    """Of a connection, in the kernel: each way, and it counts double."""
    total_bytes: int = 32 * MIB
    """Of bodies and answers that wait for their clients, so of any answer; above it, as with
    connections."""
