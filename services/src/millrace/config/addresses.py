"""Types of settings for addresses and URLs, which refuse those that cannot be connected to."""

import re
from ipaddress import IPv6Address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# Looking up a name with an empty or an overlong part raises an error other than OSError.
_PART = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_PART}(\.{_PART})*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_ORIGIN = re.compile(r"https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")


def _has_port(text: str) -> bool:
    name, _, port = text.partition(":")
    return bool(_NAME.fullmatch(name) and _PORT.fullmatch(port) and 1 <= int(port) <= 65535)


def _address(text: str) -> str:
    if not _has_port(text):
        raise PydanticCustomError("address", "write it as host:port, like kafka-1:9092")
    return text


def addresses(example: str) -> AfterValidator:
    """host:port, several separated by commas; spaces around them are removed."""

    def check(text: str) -> str:
        found = [address.strip() for address in text.split(",")]
        if not all(map(_has_port, found)):
            raise PydanticCustomError(
                "addresses",
                "write it as host:port, several separated by commas, like {example}",
                {"example": example},
            )
        return ",".join(found)

    return AfterValidator(check)


def _name_or_empty(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise PydanticCustomError("name", "write the host alone, like redis: its port is a setting")
    return text


def _host(text: str) -> str:
    if not _NAME.fullmatch(text) and not _has_port(text):
        raise PydanticCustomError(
            "host", "write it as host or host:port, like processor or producer-a:9101"
        )
    return text


def _host_or_empty(text: str) -> str:
    return text and _host(text)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        if ":" in host:
            IPv6Address(host)
        is_host = ":" in host or _NAME.fullmatch(host) is not None
        right = is_host and parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return False
    return right


def url(example: str, *, or_empty: bool = False) -> AfterValidator:
    """An absolute HTTP or HTTPS URL."""

    def check(text: str) -> str:
        is_empty = or_empty and not text
        if not is_empty and not (re.fullmatch(r"[\x21-\x7e]+", text) and _is_url(text)):
            raise PydanticCustomError(
                "url",
                "write it with http:// or https:// and the host, like {example}",
                {"example": example},
            )
        return text

    return AfterValidator(check)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise PydanticCustomError(
            "origin",
            "write it as a browser sends it, in lower case and without a path, like"
            " https://dashboard.example.org",
        )
    return text


Address = Annotated[str, AfterValidator(_address)]
"""host:port"""
NameOrEmpty = Annotated[str, AfterValidator(_name_or_empty)]
"""A host without a port, or empty"""
Host = Annotated[str, AfterValidator(_host)]
"""A host, with a port or without"""
HostOrEmpty = Annotated[str, AfterValidator(_host_or_empty)]
"""A host, with a port or without, or empty"""
Origin = Annotated[str, AfterValidator(_origin)]
"""The origin of a web page"""
