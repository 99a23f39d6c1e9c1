"""All limits of time and memory for clients."""

import msgspec

KIB, MIB = 1024, 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """Seconds are counted in total, not from byte to byte."""

    handshake_seconds: float = 10.0
    head_seconds: float = 10.0
    """From the first byte of a request on a kept connection, otherwise from the handshake."""
    body_seconds: float = 30.0
    idle_seconds: float = 15.0
    """Between two requests."""
    send_seconds: float = 30.0
    """For the unsent rest of a complete answer; for any byte of one that continues."""
    linger_seconds: float = 2.0
    """For the client to disconnect after the last answer."""
    connections: int = 256
    """Above this, the one that has waited longest for its client is closed, idle ones first."""
    head_bytes: int = 32 * KIB
    body_bytes: int = 1 * MIB
    socket_bytes: int = 64 * KIB
    """Kernel buffer of a connection, for each direction; it counts double."""
    total_bytes: int = 32 * MIB
    """Total of bodies and answers that wait for their clients, and so the limit of any answer;
    above it, connections are closed as above."""
