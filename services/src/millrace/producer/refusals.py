"""Logs rejected observations of a source: all are counted, and the first ones are shown."""

from collections.abc import Sequence

import structlog

from millrace.runtime.redaction import shown
from millrace.sources.base import Rejected

log = structlog.get_logger(__name__)

MOST = 100
"""Maximum number of lines per poll: if every row of a file is rejected, the first ones suffice."""
LONGEST_REASON = 300


def tell(rejected: Sequence[Rejected]) -> None:
    """Log the first rejections, and the number of others."""
    for one in rejected[:MOST]:
        symbol, reason = shown(one.symbol), shown(one.reason, LONGEST_REASON)
        log.warning("observation not believed", symbol=symbol, reason=reason)
    if len(rejected) > MOST:
        log.warning("more observations not believed", count=len(rejected) - MOST)
