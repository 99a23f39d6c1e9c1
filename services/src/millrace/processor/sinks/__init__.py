"""Where the processor's results go: MongoDB, Redis, the dead letter topic, the alert topic."""
