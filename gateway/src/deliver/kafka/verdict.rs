//! What a Kafka error means for an event: the one table.

use rdkafka::types::RDKafkaErrorCode as Code;

/// What becomes of an event that Kafka did not take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The event would be refused again: its client is told so, and its neighbours go on.
    Refused(Poison),
    /// This one or another one of its batch would be refused again: Kafka does not say which.
    Suspect(Poison),
    /// Too large, alone or together with others of its batch.
    TooLarge,
    /// Kafka takes no record of the topic until an operator has changed that: refused, unless its client holds an
    /// acknowledgement already.
    Barred(Poison),
    /// The topic is not there, so a broker says. Whether that lasts is looked at before anything is refused.
    Missing,
    /// Not the event's fault, and librdkafka has given up: it is produced again, in its order.
    Again,
    /// As `Again`, and an operator has to do something first.
    Blocked(&'static str),
}

/// Why an event will never be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Poison {
    /// The word that a dead letter has in its header `tidegate-reason`.
    pub(super) reason: &'static str,
    /// What its client is told.
    pub(super) why: &'static str,
}

impl Poison {
    pub(super) const INVALID: Self =
        Self { reason: "invalid", why: "Kafka finds the record invalid for its topic" };
    pub(super) const TIMESTAMP: Self =
        Self { reason: "invalid_timestamp", why: "its time is outside what its topic allows" };
    pub(super) const POLICY: Self =
        Self { reason: "policy", why: "a policy of the cluster forbids the record" };
    pub(super) const TOO_LARGE: Self = Self { reason: "too_large", why: "larger than its topic allows" };
    /// Not even for the producer: it cannot be a dead letter either.
    pub(super) const TOO_LARGE_HERE: Self =
        Self { reason: "too_large", why: "larger than kafka.properties `message.max.bytes` allows" };
    pub(super) const FORBIDDEN_TOPIC: Self =
        Self { reason: "forbidden_topic", why: "the gateway may not write to its topic" };
    pub(super) const INVALID_TOPIC: Self =
        Self { reason: "invalid_topic", why: "Kafka finds the topic's name invalid" };
    pub(super) const UNKNOWN_TOPIC: Self =
        Self { reason: "unknown_topic", why: "its topic does not exist in Kafka" };
}

/// The verdict of a delivery report without success.
///
/// What librdkafka retries for ever by itself (no leader, too few replicas, a broker away) does not come here.
pub(super) fn reported(code: Code) -> Verdict {
    match code {
        Code::InvalidRecord => Verdict::Suspect(Poison::INVALID),
        Code::InvalidTimestamp => Verdict::Suspect(Poison::TIMESTAMP),
        Code::PolicyViolation => Verdict::Suspect(Poison::POLICY),
        Code::TopicAuthorizationFailed => Verdict::Barred(Poison::FORBIDDEN_TOPIC),
        Code::InvalidTopic => Verdict::Barred(Poison::INVALID_TOPIC),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            Verdict::TooLarge
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Verdict::Missing,
        Code::ClusterAuthorizationFailed => Verdict::Blocked("the gateway may not produce idempotently"),
        Code::UnsupportedCompressionType | Code::UnsupportedForMessageFormat => {
            Verdict::Blocked("the topic does not support how records are written")
        }
        // Purged, a fatal error of the producer, a neighbour's fault, a corrupted request, anything new.
        _ => Verdict::Again,
    }
}

/// The verdict of librdkafka not even queueing a record; all but `Refused` mean here that it has to wait.
pub(super) fn at_send(code: Code) -> Verdict {
    match code {
        // Local: the one record is larger than `message.max.bytes`.
        Code::MessageSizeTooLarge => Verdict::Refused(Poison::TOO_LARGE_HERE),
        other => reported(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_events_fault_never_costs_it() {
        for code in [Code::ClusterAuthorizationFailed, Code::UnsupportedCompressionType] {
            assert!(matches!(reported(code), Verdict::Blocked(_)), "{code:?}");
        }
        for code in [Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition] {
            assert_eq!(reported(code), Verdict::Missing, "{code:?}: only once it is confirmed");
        }
    }

    #[test]
    fn what_an_operator_can_mend_is_the_topics_matter() {
        for code in [Code::TopicAuthorizationFailed, Code::InvalidTopic] {
            assert!(matches!(reported(code), Verdict::Barred(_)), "{code:?}");
            assert_eq!(at_send(code), reported(code));
        }
    }

    #[test]
    fn what_passes_is_produced_again() {
        for code in [
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::Fatal,
            Code::MessageTimedOut,
            Code::InvalidDifferentRecord,
            Code::InvalidMessage,
            Code::QueueFull,
        ] {
            assert_eq!(reported(code), Verdict::Again, "{code:?}");
            assert_eq!(at_send(code), Verdict::Again, "{code:?}");
        }
    }

    #[test]
    fn what_would_be_refused_again_is_refused() {
        for code in [Code::InvalidRecord, Code::InvalidTimestamp, Code::PolicyViolation] {
            assert!(matches!(reported(code), Verdict::Suspect(_)), "{code:?}: perhaps a neighbour");
        }
        assert_eq!(reported(Code::MessageSizeTooLarge), Verdict::TooLarge, "perhaps only its batch");
        assert_eq!(at_send(Code::MessageSizeTooLarge), Verdict::Refused(Poison::TOO_LARGE_HERE));
    }
}
