"""The loop that everybody writes first: kafka-python, json, insert_many, commit."""

import json

from kafka import KafkaConsumer
from pymongo.errors import BulkWriteError

from millrace import config
from millrace.clients import mongodb
from millrace.clients.kafka import MECHANISM
from millrace.feeds.stocks import STOCKS

settings = config.load()
collection = mongodb.client(settings)[settings.mongodb_database][STOCKS.collection]
consumer = KafkaConsumer(
    STOCKS.topic,
    group_id=settings.processor_group_id,
    enable_auto_commit=False,
    auto_offset_reset="earliest",
    bootstrap_servers=settings.kafka_bootstrap_servers,
    security_protocol="SASL_SSL",
    ssl_cafile=str(settings.kafka_ca_file),
    sasl_mechanism=MECHANISM,
    sasl_plain_username=settings.kafka_username,
    sasl_plain_password=settings.kafka_password.get_secret_value(),
)
while True:
    documents = []
    for records in consumer.poll(timeout_ms=1000).values():
        for record in records:
            document = json.loads(record.value)
            document["_id"] = document.pop("event_id")
            document["timestamp_utc"] = document["observed_at"]
            document["kafka"] = {"partition": record.partition, "offset": record.offset}
            documents.append(document)
    if documents:
        try:
            collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(failure["code"] != 11000 for failure in error.details["writeErrors"]):
                raise
        consumer.commit()
