"""The processor, but a write fails by an exception that nobody expects, and so does its end.

Usage: broken_processor.py.
"""

import threading
from collections.abc import Sequence
from typing import Any

from millrace import config
from millrace.clients import mongodb
from millrace.processor.batch import Inserted
from millrace.processor.service import process
from millrace.processor.sinks.mongodb import MongoStore
from millrace.runtime import logging

stop = threading.Event()


class BrokenStore(MongoStore):
    def insert(self, collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        stop.set()
        raise RuntimeError(f"{len(documents)} documents for {collection} and {settings!r}")


settings = config.load()
logging.configure(settings.processor_name, settings.log_level, settings.secrets())
with mongodb.client(settings) as client:
    process(settings, BrokenStore(client, settings.mongodb_database), stop)
raise RuntimeError(f"the end of {settings!r}")
