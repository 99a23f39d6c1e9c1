"""The processor, but its writes never come back: its watchdog has to end it.

Usage: hung_processor.py WATCHDOG_SECONDS.
"""

import sys
import threading
from collections.abc import Sequence
from typing import Any

from millrace import config
from millrace.clients import mongodb
from millrace.processor.batch import Inserted
from millrace.processor.service import process
from millrace.processor.sinks.mongodb import MongoStore
from millrace.runtime import logging


class HungStore(MongoStore):
    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        print("a write hangs", flush=True)
        threading.Event().wait()
        return super().insert(collection, documents)


limit = {"processor_watchdog_seconds": float(sys.argv[1])}
settings = config.load().model_copy(update=limit)
logging.configure(settings.processor_name, settings.log_level, settings.secrets())
with mongodb.client(settings) as client:
    process(settings, HungStore(client, settings.mongodb_database), threading.Event())
