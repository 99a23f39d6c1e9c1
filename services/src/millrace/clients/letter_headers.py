"""The headers of a dead letter, and the stages in one of them.

The names are those of Kafka Connect (KIP-298), so that its tools understand them.
"""

PREFIX = "__connect.errors."
PARTIAL = PREFIX + "partial"
"""Describes the content of a letter that does not have its record unchanged."""
SKIPPED = "OPERATOR"
"""The stage of a record that became a dead letter because of an operator's command."""
CONFLICT = "CONFLICT"
"""The stage of an event that is not stored, because one with its id and other content is."""
