/// What is known of a value before there is an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Type {
    /// Of the payload, or of an attribute that may be anything: known when the event is there.
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Moment,
    Duration,
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "value of any type",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Moment => "timestamp",
            Self::Duration => "duration",
        }
    }

    /// Whether it may turn out to be one of these.
    pub(crate) fn may_be(self, types: &[Self]) -> bool {
        self == Self::Any || types.contains(&self)
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether values of both may be compared.
    pub(crate) fn compares_with(self, other: Self) -> bool {
        self == Self::Any || other == Self::Any || self == other || self.is_number() && other.is_number()
    }
}
