"""Makes every contender start alike: an empty collection with its indexes, and where to read from.

`beginning` removes the group's offsets; `end` puts them behind the last event. Prints the number of
events in the topic.
"""

import sys

from kafka import TopicPartition
from kafka.admin import MemberToRemove
from kafka.errors import GroupIdNotFoundError
from kafka.structs import OffsetAndMetadata
from pymongo import IndexModel
from servers import GROUP, collection, consumer, kafka_admin

from millrace.feeds.stocks import STOCKS


def main(position: str) -> None:
    """Reset both sides."""
    stored = collection()
    stored.drop()
    stored.create_indexes([IndexModel(list(index.keys)) for index in STOCKS.indexes])
    admin = kafka_admin()
    # The contender before was killed, and would be missed only after its session's time.
    members = [
        MemberToRemove(
            None if found["group_instance_id"] else found["member_id"], found["group_instance_id"]
        )
        for found in admin.describe_groups([GROUP])[GROUP]["members"]
    ]
    admin.remove_group_members(GROUP, members)
    answer = admin.delete_groups([GROUP])[GROUP]
    if answer not in ("OK", GroupIdNotFoundError.__name__):
        raise SystemExit(f"the group {GROUP} could not be removed: {answer}")
    partitions = [TopicPartition(STOCKS.topic, number) for number in range(STOCKS.partitions)]
    with consumer() as reader:
        ends = reader.end_offsets(partitions)
        starts = reader.beginning_offsets(partitions)
    if position == "end":
        admin.alter_group_offsets(
            GROUP, {partition: OffsetAndMetadata(end, "", -1) for partition, end in ends.items()}
        )
    print(sum(ends.values()) - sum(starts.values()))


main(sys.argv[1])
