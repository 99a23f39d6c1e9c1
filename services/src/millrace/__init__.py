"""Millrace: a secured streaming pipeline from market data APIs through Kafka to MongoDB."""
