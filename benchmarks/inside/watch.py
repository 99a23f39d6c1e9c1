"""Prints the time and the number of stored events until all are there."""

import sys
import time

from servers import collection

SECONDS = 0.05
LONGEST = 300


def main(expected: int) -> None:
    """One line a look."""
    stored = collection()
    deadline = time.monotonic() + LONGEST
    count = 0
    while count < expected and time.monotonic() < deadline:
        count = stored.estimated_document_count()
        print(time.time(), count, flush=True)
        time.sleep(SECONDS)
    print(time.time(), stored.count_documents({}), flush=True)


main(int(sys.argv[1]))
