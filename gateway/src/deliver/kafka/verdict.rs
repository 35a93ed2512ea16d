//! What a Kafka error means for an event: the one table.

use rdkafka::types::RDKafkaErrorCode as Code;

/// What becomes of an event that Kafka did not take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The event itself is at fault and would be refused again: its client is told so.
    Refused(&'static str),
    /// Too large, alone or together with others of its batch.
    TooLarge,
    /// Not the event's fault, and librdkafka has given up: not acknowledged, so the client sends it again.
    Lost,
    /// As `Lost`, and an operator has to do something.
    Blocked(&'static str),
}

/// The verdict of a delivery report without success.
///
/// Only what an operator cannot repair is refused: a wrong permission must not cost an event. What librdkafka
/// retries for ever by itself (no leader, too few replicas, a broker away) does not come here.
pub(super) fn reported(code: Code) -> Verdict {
    match code {
        // Kafka names the record at fault; its neighbours get InvalidDifferentRecord.
        Code::InvalidRecord => Verdict::Refused("Kafka finds the record invalid for its topic"),
        Code::InvalidTimestamp => Verdict::Refused("its time is outside what its topic allows"),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            Verdict::TooLarge
        }
        Code::TopicAuthorizationFailed => Verdict::Blocked("the gateway may not write to the topic"),
        Code::ClusterAuthorizationFailed => Verdict::Blocked("the gateway may not produce idempotently"),
        Code::InvalidTopic => Verdict::Blocked("Kafka finds the topic's name invalid"),
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            Verdict::Blocked("the topic does not exist")
        }
        Code::PolicyViolation => Verdict::Blocked("a policy of the cluster forbids the record"),
        Code::UnsupportedCompressionType | Code::UnsupportedForMessageFormat => {
            Verdict::Blocked("the topic does not support how records are written")
        }
        // Purged, a fatal error of the producer, a neighbour's fault, a corrupted request, anything new.
        _ => Verdict::Lost,
    }
}

/// The verdict of librdkafka not even queueing a record; `Lost` and `Blocked` here mean that it has to wait.
pub(super) fn at_send(code: Code) -> Verdict {
    match code {
        // Local: the one record is larger than `message.max.bytes`.
        Code::MessageSizeTooLarge => {
            Verdict::Refused("larger than kafka.properties `message.max.bytes` allows")
        }
        // Only until reports make room.
        Code::QueueFull => Verdict::Lost,
        other => match reported(other) {
            Verdict::Refused(_) | Verdict::TooLarge => Verdict::Lost,
            waits => waits,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_can_repair_is_never_refused() {
        for code in [
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::UnknownTopicOrPartition,
            Code::PolicyViolation,
        ] {
            assert!(matches!(reported(code), Verdict::Blocked(_)), "{code:?}");
        }
    }

    #[test]
    fn what_passes_is_not_acknowledged_and_not_refused() {
        for code in [
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::Fatal,
            Code::MessageTimedOut,
            Code::InvalidDifferentRecord,
            Code::InvalidMessage,
        ] {
            assert_eq!(reported(code), Verdict::Lost, "{code:?}");
        }
    }

    #[test]
    fn only_the_records_own_fault_is_refused() {
        assert!(matches!(reported(Code::InvalidRecord), Verdict::Refused(_)));
        assert!(matches!(at_send(Code::MessageSizeTooLarge), Verdict::Refused(_)));
        assert_eq!(at_send(Code::QueueFull), Verdict::Lost);
    }
}
