"""Where the processor's results go: MongoDB, the dead letter topic, the alert topic."""
