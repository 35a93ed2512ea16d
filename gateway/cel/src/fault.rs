/// Why an expression has no value for an event: the error values of CEL.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Fault {
    /// An attribute, field or element that is not there.
    #[error("a field is absent")]
    Absent,
    /// An operation on values it is not for.
    #[error("a value has another type than the rule expects")]
    Type,
    /// An integer, moment or duration beyond what can be told.
    #[error("a number is out of range")]
    Range,
    /// An integer divided by zero.
    #[error("an integer was divided by zero")]
    DivisionByZero,
    /// An array with more elements than are looked at.
    #[error("an array has more than 256 elements")]
    TooManyElements,
    /// A string that is not an RFC 3339 time, or not a duration.
    #[error("a string is not a time")]
    NotATime,
    /// An element that names a member twice: see [`crate::Duplicate`].
    #[error("an object has the same name twice")]
    Duplicate,
    /// A string with a surrogate that stands alone, which is no text.
    #[error("a string holds half a surrogate pair")]
    Surrogate,
    /// What a rule judges by, such as a schema, is not there yet. No expression says so.
    #[error("what it judges by is not there yet")]
    Unready,
}
