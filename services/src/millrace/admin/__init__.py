"""Administration of Kafka and MongoDB: declared state in, the changes that were made out."""
