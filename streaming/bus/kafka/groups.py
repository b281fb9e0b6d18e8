"""Consumer groups of a broker, for people."""

from collections import Counter
from typing import Any

import confluent_kafka.admin
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from streaming.bus.kafka.client import ASK_SECONDS, BrokerAddress
from streaming.bus.overview import GroupFacts
from streaming.messages import SCHEMAS


def read_broker_groups(brokers: str) -> list[GroupFacts]:
    """Return what each group has committed of our topics; offset and lag are sums over the partitions.

    The lag is as right as the broker's own answer where a topic ends. Raises StoreUnreachable.
    """
    address = BrokerAddress(brokers)
    with address.translate_errors():
        client = AdminClient(address.settings())
        names = [each.group_id for each in client.list_consumer_groups().result(ASK_SECONDS).valid]
        return [fact for name in sorted(names) for fact in _facts(client, name)]


def _facts(client: Any, group: str) -> list[GroupFacts]:
    [future] = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    committed = [
        each
        for each in future.result(ASK_SECONDS).topic_partitions
        if each.topic in SCHEMAS and each.offset >= 0
    ]
    if not committed:
        return []
    latest: Any = confluent_kafka.admin.__dict__["OffsetSpec"].latest()  # its types do not export it
    wanted = {TopicPartition(each.topic, each.partition): latest for each in committed}
    ends = {
        (place.topic, place.partition): answer.result(ASK_SECONDS).offset
        for place, answer in client.list_offsets(wanted).items()
    }
    done: Counter[str] = Counter()
    lag: Counter[str] = Counter()
    for each in committed:
        done[each.topic] += each.offset
        lag[each.topic] += max(0, ends[each.topic, each.partition] - each.offset)
    return [GroupFacts(group, topic, done[topic], lag[topic], "", None) for topic in sorted(done)]
