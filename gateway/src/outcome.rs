//! What became of one event: the metric label and the reply to the client from one enum.

use tidegate_wire::Code;

/// What became of one event. Every event that is received gets exactly one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// In Kafka on all in-sync replicas.
    Committed,
    /// Fsynced in the gateway's own log.
    Stored,
    /// A number that was received before; its first copy has an outcome of its own.
    DuplicateNumber,
    /// A lossy event for which there was no room, or which came out of turn.
    LossyDropped,
    /// Not a valid event.
    Malformed,
    /// Larger than an event or its attributes may be.
    TooLarge,
    /// Does not match the topic's schema.
    Schema,
    /// No route takes it.
    Unrouted,
    /// The token does not reach the topic.
    Forbidden,
    /// Past its `expirytime`.
    Expired,
    /// Kafka refused this record for good.
    BrokerRejected,
    /// Kafka refused this record for good, and it is in the dead-letter topic of its route.
    DeadLettered,
    /// Dropped by a filter.
    Filtered,
    /// Dropped by sampling.
    Sampled,
    /// Dropped by a dedup rule.
    Duplicate,
    /// Dropped by a throttling rule.
    Throttled,
    /// Ended without a verdict and was not acknowledged, so the client still has it: the gateway ended or replaced its
    /// Kafka producer before Kafka answered, or it is a fault of ours. The gateway's log says which.
    Lost,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Self; 17] = [
        Self::Committed,
        Self::Stored,
        Self::DuplicateNumber,
        Self::LossyDropped,
        Self::Malformed,
        Self::TooLarge,
        Self::Schema,
        Self::Unrouted,
        Self::Forbidden,
        Self::Expired,
        Self::BrokerRejected,
        Self::DeadLettered,
        Self::Filtered,
        Self::Sampled,
        Self::Duplicate,
        Self::Throttled,
        Self::Lost,
    ];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Stored => "stored",
            Self::DuplicateNumber => "duplicate_number",
            Self::LossyDropped => "lossy_dropped",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Schema => "schema",
            Self::Unrouted => "unrouted",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::BrokerRejected => "broker_rejected",
            Self::DeadLettered => "dead_lettered",
            Self::Filtered => "filtered",
            Self::Sampled => "sampled",
            Self::Duplicate => "duplicate",
            Self::Throttled => "throttled",
            Self::Lost => "lost",
        }
    }

    /// Position in [`Outcome::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The code a client is told, if this outcome is one it is told of.
    pub const fn code(self) -> Option<Code> {
        match self {
            Self::Committed | Self::Stored | Self::DuplicateNumber | Self::LossyDropped | Self::Lost => None,
            Self::Malformed => Some(Code::Malformed),
            Self::TooLarge => Some(Code::TooLarge),
            Self::Schema => Some(Code::Schema),
            Self::Unrouted => Some(Code::Unrouted),
            Self::Forbidden => Some(Code::Forbidden),
            Self::Expired => Some(Code::Expired),
            Self::BrokerRejected | Self::DeadLettered => Some(Code::BrokerRejected),
            Self::Filtered => Some(Code::Filtered),
            Self::Sampled => Some(Code::Sampled),
            Self::Duplicate => Some(Code::Duplicate),
            Self::Throttled => Some(Code::Throttled),
        }
    }
}

impl From<Code> for Outcome {
    fn from(code: Code) -> Self {
        match code {
            Code::Malformed => Self::Malformed,
            Code::TooLarge => Self::TooLarge,
            Code::Schema => Self::Schema,
            Code::Unrouted => Self::Unrouted,
            Code::Forbidden => Self::Forbidden,
            Code::Expired => Self::Expired,
            Code::BrokerRejected => Self::BrokerRejected,
            Code::Filtered => Self::Filtered,
            Code::Sampled => Self::Sampled,
            Code::Duplicate => Self::Duplicate,
            Code::Throttled => Self::Throttled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        assert!(Outcome::ALL.iter().enumerate().all(|(position, outcome)| outcome.index() == position));
    }

    #[test]
    fn a_code_survives_the_way_through_its_outcome() {
        let told = Outcome::ALL.iter().filter_map(|outcome| outcome.code().map(|code| (*outcome, code)));
        // A dead letter is a refusal to its client.
        let mut told = told.filter(|(outcome, _)| *outcome != Outcome::DeadLettered);
        assert!(told.all(|(outcome, code)| Outcome::from(code) == outcome));
    }
}
