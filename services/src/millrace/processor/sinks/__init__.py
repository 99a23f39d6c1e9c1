"""The processor's outputs: MongoDB, Redis, the dead letter topic and the alert topic."""
