//! Why a connection ended before it should, and what follows from it.

use std::time::Duration;

use anyhow::anyhow;
use tidegate_wire::{Close, CloseCode};

pub(super) struct Break {
    pub(super) why: anyhow::Error,
    /// Coming back cannot help.
    pub(super) is_final: bool,
    /// The gateway has said so, by a CLOSE.
    pub(super) is_heard: bool,
    /// Before coming back.
    pub(super) wait: Duration,
}

impl Break {
    pub(super) fn fatal(why: anyhow::Error) -> Self {
        Self { is_final: true, ..Self::from(why) }
    }

    /// After CLOSE: some say never to come back, and with a frame that was refused coming back would only repeat it.
    pub(super) fn closed(close: &Close) -> Self {
        use CloseCode::{Auth, BadFrame, Done, Origin, StaleEpoch, TakenOver, TooLarge, Version};
        let said = close.msg.as_deref().map(|msg| format!(": {msg}")).unwrap_or_default();
        Self {
            why: anyhow!("the gateway closed with {} ({}){said}", close.code.number(), close.code),
            is_final: matches!(
                close.code,
                Auth | BadFrame | Done | Origin | StaleEpoch | TakenOver | TooLarge | Version
            ),
            is_heard: true,
            wait: Duration::from_millis(close.retry_ms.unwrap_or(0)),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Break {
    fn from(why: E) -> Self {
        Self { why: why.into(), is_final: false, is_heard: false, wait: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_calls_final_is_and_the_rest_waits_as_told() {
        let busy = Break::closed(&Close { retry_ms: Some(700), ..Close::new(CloseCode::Overload) });
        assert!(!busy.is_final);
        assert_eq!(busy.wait, Duration::from_millis(700));
        let refused =
            Break::closed(&Close { msg: Some("who are you?".into()), ..Close::new(CloseCode::Auth) });
        assert!(refused.is_final);
        assert_eq!(refused.why.to_string(), "the gateway closed with 4003 (auth): who are you?");
    }
}
