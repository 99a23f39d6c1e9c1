"""The fast loop: confluent-kafka (librdkafka), orjson, insert_many, commit."""

import orjson
from confluent_kafka import Consumer
from pymongo.errors import BulkWriteError

from millrace import config
from millrace.clients import mongodb
from millrace.clients.kafka import MECHANISM
from millrace.feeds.stocks import STOCKS

BATCH = 5000
WAIT_SECONDS = 0.02

settings = config.load()
collection = mongodb.client(settings)[settings.mongodb_database][STOCKS.collection]
consumer = Consumer(
    {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(settings.kafka_ca_file),
        "sasl.mechanisms": MECHANISM,
        "sasl.username": settings.kafka_username,
        "sasl.password": settings.kafka_password.get_secret_value(),
        "group.id": settings.processor_group_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([STOCKS.topic])
while True:
    documents = []
    for message in consumer.consume(BATCH, WAIT_SECONDS):
        if message.error():
            raise SystemExit(str(message.error()))
        document = orjson.loads(message.value())
        document["_id"] = document.pop("event_id")
        document["timestamp_utc"] = document["observed_at"]
        document["kafka"] = {"partition": message.partition(), "offset": message.offset()}
        documents.append(document)
    if documents:
        try:
            collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            if any(failure["code"] != 11000 for failure in error.details["writeErrors"]):
                raise
        consumer.commit(asynchronous=False)
