"""The processor: consumes events, derives values and stores documents, each exactly once."""
