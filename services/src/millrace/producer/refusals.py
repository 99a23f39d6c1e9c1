"""What a source brought and nobody believes, in the log: all of it is counted, not all is shown."""

from collections.abc import Sequence

import structlog

from millrace.runtime.redaction import shown
from millrace.sources.base import Rejected

log = structlog.get_logger(__name__)

MOST = 100
"""Lines about one poll: a file of which every row is refused says so by its first ones."""
LONGEST_REASON = 300


def tell(rejected: Sequence[Rejected]) -> None:
    """Say what the first ones are, and how many others there are."""
    for one in rejected[:MOST]:
        symbol, reason = shown(one.symbol), shown(one.reason, LONGEST_REASON)
        log.warning("observation not believed", symbol=symbol, reason=reason)
    if len(rejected) > MOST:
        log.warning("more observations not believed", count=len(rejected) - MOST)
