"""What the words of an engine mean that got nothing from an image registry. Touches no engine."""

from __future__ import annotations

# Nobody answered: the only reason to go on without a registry.
UNREACHABLE = (
    "no such host",
    "temporary failure in name resolution",
    "server misbehaving",
    "connection refused",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "tls handshake timeout",
    "client.timeout",
    "deadline exceeded",
    "request canceled while waiting for connection",
)
ADVICE = {
    ("toomanyrequests", "too many requests", "429", "rate limit"): (
        "log in with `docker login`, wait, or name a mirror (registry-mirrors of the engine)"
    ),
    ("unauthorized", "denied", "no basic auth", "authentication", "401", "403"): (
        "log in with `docker login`"
    ),
    ("x509", "certificate"): (
        "have the engine trust its authority (/etc/docker/certs.d/HOST/ca.crt)"
    ),
}


def is_unreachable(reason: str) -> bool:
    """Whether no registry answered at all, as in a network that has none."""
    return any(words in reason.lower() for words in UNREACHABLE)


def advice(reason: str) -> str:
    """What to do where a registry answers, and does not give an image."""
    also = (
        "or build from packages: millrace_images_source=packages (images/build --source packages)"
    )
    for words, remedy in ADVICE.items():
        if any(word in reason.lower() for word in words):
            return f"{remedy}, {also}"
    return f"run it again later, {also}"
