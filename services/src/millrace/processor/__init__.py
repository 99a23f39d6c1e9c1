"""The processor: consumes events, derives values, stores documents; nothing lost, nothing twice."""
