"""Where something is, as settings say it: refused where no connection can be made to it."""

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

# Looked up, a name with an empty or a long part is no OSError.
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


def _addresses(text: str) -> str:
    addresses = [address.strip() for address in text.split(",")]
    if not all(map(_has_port, addresses)):
        raise PydanticCustomError(
            "addresses",
            "write it as host:port, several separated by commas, like kafka-1:9092,kafka-2:9092",
        )
    return ",".join(addresses)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise PydanticCustomError("name", "write the host alone, like redis: its port is a setting")
    return text


def _host(text: str) -> str:
    if not _NAME.fullmatch(text) and not _has_port(text):
        raise PydanticCustomError(
            "host", "write it as host or host:port, like processor or producer-a:9101"
        )
    return text


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


def _url(text: str) -> str:
    if not (re.fullmatch(r"[\x21-\x7e]+", text) and _is_url(text)):
        raise PydanticCustomError(
            "url", "write it with http:// or https:// and the host, like http://vllm:8000/metrics"
        )
    return text


def _or_empty(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: text and check(text)


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
Addresses = Annotated[str, AfterValidator(_addresses)]
"""host:port, separated by commas; spaces around them are dropped"""
NameOrEmpty = Annotated[str, AfterValidator(_or_empty(_name))]
"""A host without a port, or empty"""
Host = Annotated[str, AfterValidator(_host)]
"""A host, with a port or without"""
Url = Annotated[str, AfterValidator(_url)]
"""An absolute URL of HTTP"""
UrlOrEmpty = Annotated[str, AfterValidator(_or_empty(_url))]
"""The same, or empty"""
Origin = Annotated[str, AfterValidator(_origin)]
"""The origin of a web page"""
