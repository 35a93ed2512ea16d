//! The configuration: one file a section, plain data, defaults in the code, unknown keys refused.

mod auth;
mod destination;
mod limits;
mod listen;
mod logging;
mod routes;
mod size;

use serde::Deserialize;

pub use self::auth::{Auth, AuthMode, Origins, Token};
pub use self::destination::{Delivery, DeliveryMode, Kafka, Log};
pub use self::limits::{Limits, Shutdown};
pub use self::listen::{Demo, Discovery, Exclude, Listen, Tls};
pub use self::logging::{Format, Logging};
pub use self::routes::{Attribute, Condition, Route, Test};
pub use self::size::ByteSize;

/// Everything an operator can say.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses.
    pub listen: Listen,
    /// Certificate and key; absent: a development certificate.
    pub tls: Option<Tls>,
    /// Brokers; absent: the embedded log is the destination.
    pub kafka: Option<Kafka>,
    /// The embedded log.
    pub log: Log,
    /// Which destination acknowledges.
    pub delivery: Delivery,
    /// Who may send.
    pub auth: Auth,
    /// Which pages may send.
    pub origins: Origins,
    /// Where events go; none: everything goes to topic `events`.
    #[serde(skip)]
    pub routes: Vec<Route>,
    /// How much, how many, how long.
    pub limits: Limits,
    /// How the gateway goes away.
    pub shutdown: Shutdown,
    /// What the discovery document adds.
    pub discovery: Discovery,
    /// The demo page.
    pub demo: Demo,
    /// The gateway's own log lines.
    pub logging: Logging,
}
