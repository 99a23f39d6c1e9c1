"""Administration of Kafka and MongoDB: reads the declared state and prints the changes made."""
