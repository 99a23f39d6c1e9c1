"""Parameters of routes."""

from millrace.api.costs import HOUR, LONGEST
from millrace.api.events import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT
from millrace.api.openapi.nodes import ASKED_TIME, NAME, parameter

PAGE = [
    parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    parameter("cursor", {"type": "string", "maxLength": MAX_CURSOR}, "`next` of the page before."),
]
EVENTS = [
    parameter("symbol", NAME),
    parameter("source", NAME),
    parameter("from", ASKED_TIME, "Not before this time."),
    parameter("to", ASKED_TIME, "Before this time."),
    parameter("order", {"enum": ["newest", "oldest"], "default": "newest"}, "Which come first."),
    *PAGE,
]
SYMBOL = parameter(
    "symbol",
    {"type": "string", "minLength": 1},
    "A slash in it may be written as it is, or as %2F.",
    "path",
)
COSTS = [
    parameter("by", {"enum": ["model", "gpu", "host"], "default": "model"}, "What is grouped."),
    parameter("bucket", {"enum": ["minute", "hour"], "default": "hour"}),
    parameter(
        "from",
        ASKED_TIME,
        "Not before this time; else the 24 buckets before `to`. Before `to` it is by "
        + ", by ".join(f"{name} at most {long / HOUR:.0f} hours" for name, long in LONGEST.items())
        + ".",
    ),
    parameter("to", ASKED_TIME, "Before this time; else now."),
    *PAGE,
]
