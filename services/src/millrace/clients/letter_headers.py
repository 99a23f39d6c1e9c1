"""The headers of a dead letter, and the stages that one of them names.

The names are those of Kafka Connect (KIP-298), so that its users' tools understand them.
"""

PREFIX = "__connect.errors."
PARTIAL = PREFIX + "partial"
"""Of a letter that does not hold its record as it was sent: what it holds instead."""
SKIPPED = "OPERATOR"
"""The stage of a record that became a dead letter because of an operator's command."""
CONFLICT = "CONFLICT"
"""The stage of an event that is not stored: another of its id is, with other content."""
