//! The codes of the protocol: a number on the wire, a name in JSON, in logs and in metrics.

/// Declares an enum whose every variant has one number and one name.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $number:ty, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr($number)]
        pub enum $name { $($(#[$variant_doc])* $variant = $value,)+ }

        impl $name {
            /// Every one of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The number on the wire.
            pub const fn number(self) -> $number {
                self as $number
            }

            /// The one with this number on the wire.
            pub const fn from_number(number: $number) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The name in JSON, in logs and in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The one with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(format_args!(concat!("no ", $what, " is called `{}`"), name)))
            }
        }
    };
}

codes! {
    /// Why one event did not go the ordinary way. Final: sending it again ends the same.
    Code: u8, "event code" {
        /// Not an event: bad JSON, a bad attribute, an undefined alias.
        Malformed = 1, "malformed";
        /// Payload or attributes beyond their limit.
        TooLarge = 2, "too_large";
        /// The data does not match what the topic expects.
        Schema = 3, "schema";
        /// No route takes it.
        Unrouted = 4, "unrouted";
        /// The client may not write to where the route leads.
        Forbidden = 5, "forbidden";
        /// Past its `expirytime`.
        Expired = 6, "expired";
        /// Kafka refused it for good.
        BrokerRejected = 7, "broker_rejected";
        /// A rule drops it.
        Filtered = 16, "filtered";
        /// A rule keeps only a share of its kind, not this one.
        Sampled = 17, "sampled";
        /// A rule has seen its like before.
        Duplicate = 18, "duplicate";
        /// A rule limits how many of its kind pass.
        Throttled = 19, "throttled";
    }
}

impl Code {
    /// As [`Code::number`].
    pub const fn as_u8(self) -> u8 {
        self.number()
    }

    /// As [`Code::from_number`].
    pub const fn from_u8(number: u8) -> Option<Self> {
        Self::from_number(number)
    }

    /// Whether a rule dropped it as configured, so that only `verbose` clients are told.
    pub const fn is_informative(self) -> bool {
        self.number() >= 16
    }
}

codes! {
    /// Why a connection ends. The number is also the WebSocket close code (`done`: 1000) and the QUIC application code.
    CloseCode: u16, "close code" {
        /// The gateway is going away.
        Drain = 4000, "drain";
        /// A frame that breaks the protocol.
        BadFrame = 4001, "bad_frame";
        /// A version of the protocol that is not spoken here.
        Version = 4002, "version";
        /// Not authenticated, or not allowed.
        Auth = 4003, "auth";
        /// The token has run out.
        AuthExpired = 4004, "auth_expired";
        /// No HELLO in time.
        HelloTimeout = 4005, "hello_timeout";
        /// A newer connection of the same client has taken over.
        TakenOver = 4006, "taken_over";
        /// A newer epoch of the same client is known.
        StaleEpoch = 4007, "stale_epoch";
        /// Beyond a limit of frame, count, inflation, HELLO or PING.
        TooLarge = 4008, "too_large";
        /// Nothing heard for too long.
        Idle = 4009, "idle";
        /// No room for this connection now; CLOSE says when to come back.
        Overload = 4010, "overload";
        /// The origin of the page is not allowed.
        Origin = 4011, "origin";
        /// The gateway's own fault.
        Internal = 4012, "internal";
        /// Finished, all settled.
        Done = 4013, "done";
    }
}

impl CloseCode {
    /// Whether a client comes back by itself: after a full-jitter delay of 0.5-30 s, or after `retry_ms`.
    pub const fn may_reconnect(self) -> bool {
        !matches!(
            self,
            Self::Version | Self::Auth | Self::TakenOver | Self::StaleEpoch | Self::Origin | Self::Done
        )
    }

    /// The WebSocket close code that repeats it: 1000 for `done`, else its number.
    pub const fn websocket(self) -> u16 {
        match self {
            Self::Done => 1000,
            _ => self.number(),
        }
    }
}

codes! {
    /// What holds a client's credit back.
    Reason: u8, "reason" {
        /// Nothing does.
        Ok = 0, "ok";
        /// The client's own rate limit.
        Rate = 1, "rate";
        /// Kafka is slow or away.
        Broker = 2, "broker";
        /// The gateway's log is at its cap.
        Full = 3, "full";
        /// The gateway is about to go away.
        Draining = 4, "draining";
        /// The tenant's limit.
        Quota = 5, "quota";
        /// The gateway's memory budget.
        Memory = 6, "memory";
    }
}

impl Reason {
    /// As [`Reason::number`].
    pub const fn as_u8(self) -> u8 {
        self.number()
    }

    /// As [`Reason::from_number`].
    pub const fn from_u8(number: u8) -> Option<Self> {
        Self::from_number(number)
    }
}

codes! {
    /// What an acknowledgement is worth; `Stored` is the weaker.
    Level: u8, "level" {
        /// Synced to the gateway's own log.
        Stored = 1, "stored";
        /// In Kafka on all in-sync replicas.
        Committed = 2, "committed";
    }
}

impl Level {
    /// As [`Level::number`].
    pub const fn as_u8(self) -> u8 {
        self.number()
    }

    /// As [`Level::from_number`].
    pub const fn from_u8(number: u8) -> Option<Self> {
        Self::from_number(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        assert!(
            Code::ALL.iter().all(|&code| Code::from_u8(code.as_u8()) == Some(code)
                && Code::from_name(code.name()) == Some(code))
        );
        assert!(CloseCode::ALL.iter().all(|&code| CloseCode::from_number(code.number()) == Some(code)));
        assert_eq!(
            (Code::ALL.len(), CloseCode::ALL.len(), Reason::ALL.len(), Level::ALL.len()),
            (11, 14, 7, 2)
        );
    }

    #[test]
    fn serde_goes_by_name() {
        assert_eq!(serde_json::to_string(&Code::TooLarge).unwrap(), r#""too_large""#);
        assert_eq!(serde_json::from_str::<Level>(r#""committed""#).unwrap(), Level::Committed);
        let error = serde_json::from_str::<Reason>(r#""bored""#).unwrap_err().to_string();
        assert!(error.contains("no reason is called `bored`"), "{error}");
    }

    #[test]
    fn a_client_stays_away_when_coming_back_cannot_help() {
        let stays_away: Vec<u16> =
            CloseCode::ALL.iter().filter(|code| !code.may_reconnect()).map(|code| code.number()).collect();
        assert_eq!(stays_away, [4002, 4003, 4006, 4007, 4011, 4013]);
        assert_eq!(CloseCode::Done.websocket(), 1000);
        assert_eq!(CloseCode::Auth.websocket(), 4003);
    }

    #[test]
    fn informative_codes_are_those_of_rules() {
        assert!(Code::Filtered.is_informative() && !Code::BrokerRejected.is_informative());
    }
}
