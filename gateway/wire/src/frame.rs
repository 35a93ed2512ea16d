//! Binary framing: `type (1 byte) | length (varint) | body`.

use crate::limits::{Limits, PING_BYTES};
use crate::refusal::Violation;
use crate::varint;

/// The types of frames, as they stand in a frame's first byte.
pub mod kind {
    /// First frame of a client.
    pub const HELLO: u8 = 0x01;
    /// The gateway's answer.
    pub const WELCOME: u8 = 0x02;
    /// Events.
    pub const EVENTS: u8 = 0x03;
    /// Acknowledgement and credit.
    pub const ACK: u8 = 0x04;
    /// Attributes by alias.
    pub const DEFINE: u8 = 0x05;
    /// Asks for a sign of life.
    pub const PING: u8 = 0x06;
    /// Gives it.
    pub const PONG: u8 = 0x07;
    /// The gateway is about to leave.
    pub const GOAWAY: u8 = 0x08;
    /// The end, with a reason.
    pub const CLOSE: u8 = 0x09;
    /// What a client has seen.
    pub const REPORT: u8 = 0x0a;
    /// A fresh token.
    pub const REAUTH: u8 = 0x0b;
    /// The first of the types that are ignored, so that later versions may use them.
    pub const IGNORED_FROM: u8 = 0x80;

    /// The name of a type in the tables of the protocol.
    pub fn name(kind: u8) -> &'static str {
        match kind {
            HELLO => "HELLO",
            WELCOME => "WELCOME",
            EVENTS => "EVENTS",
            ACK => "ACK",
            DEFINE => "DEFINE",
            PING => "PING",
            PONG => "PONG",
            GOAWAY => "GOAWAY",
            CLOSE => "CLOSE",
            REPORT => "REPORT",
            REAUTH => "REAUTH",
            _ => "unknown",
        }
    }
}

/// One whole frame, still undecoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// Its type, one of [`kind`] or any byte from [`kind::IGNORED_FROM`].
    pub kind: u8,
    /// What follows the header.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind);
        varint::write(self.body.len() as u64, out);
        out.extend_from_slice(self.body);
    }
}

/// How long the prefix of `buf` is that consists of whole frames; 0 while the first is incomplete.
///
/// A header that announces more than the limit, or a type that does not exist, is a [`Violation`] as soon as it is visible.
pub fn whole(buf: &[u8], limits: &Limits) -> Result<usize, Violation> {
    let mut rest = buf;
    while let Some((_, after)) = split(rest, limits)? {
        rest = after;
    }
    Ok(buf.len() - rest.len())
}

/// The frames of a buffer of whole frames, such as one WebSocket message. A frame that is cut short is a
/// [`Violation`]; iteration ends after the first one.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    limits: &'a Limits,
}

impl<'a> Frames<'a> {
    /// Starts at the beginning of `buf`.
    pub fn new(buf: &'a [u8], limits: &'a Limits) -> Self {
        Self { rest: buf, limits }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let split = split(self.rest, self.limits);
        self.rest = &[];
        match split {
            Ok(Some((frame, after))) => {
                self.rest = after;
                Some(Ok(frame))
            }
            Ok(None) => {
                Some(Err(Violation::bad_frame("a frame is cut short: its length goes beyond the end")))
            }
            Err(violation) => Some(Err(violation)),
        }
    }
}

/// The first frame and what follows it; `None` while it is incomplete.
#[inline]
fn split<'a>(buf: &'a [u8], limits: &Limits) -> Result<Option<(Frame<'a>, &'a [u8])>, Violation> {
    let Some((&kind, after_kind)) = buf.split_first() else {
        return Ok(None);
    };
    if kind == 0 || (kind > kind::REAUTH && kind < kind::IGNORED_FROM) {
        return Err(Violation::bad_frame(format!("no frame has the type {kind:#04x}")));
    }
    let Some((length, header)) = varint::read(after_kind) else {
        return Ok(None);
    };
    within(kind, length, 1 + header as u64 + length, limits)?;
    let body = after_kind.get(header..).unwrap_or_default();
    let split = usize::try_from(length).ok().and_then(|length| body.split_at_checked(length));
    Ok(split.map(|(body, after)| (Frame { kind, body }, after)))
}

#[inline]
fn within(kind: u8, length: u64, frame_bytes: u64, limits: &Limits) -> Result<(), Violation> {
    let limit = match kind {
        kind::HELLO => u64::from(limits.max_hello_bytes),
        kind::PING | kind::PONG => u64::from(PING_BYTES),
        _ => u64::MAX,
    };
    if length > limit {
        return Err(Violation::too_large(format!(
            "{} has {length} bytes, at most {limit} are allowed",
            kind::name(kind)
        )));
    }
    if frame_bytes > u64::from(limits.max_frame_bytes) {
        return Err(Violation::too_large(format!(
            "a frame has {frame_bytes} bytes, at most {} are allowed",
            limits.max_frame_bytes
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::CloseCode;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        max_event_bytes: 256,
        max_frame_bytes: 512,
        max_batch_events: 10,
        max_inflated_bytes: 4096,
        max_body_bytes: 4096,
        max_inflated_body_bytes: 8192,
        max_attributes_bytes: 128,
        max_json_depth: 64,
        max_hello_bytes: 64,
    };

    #[track_caller]
    fn refused(buf: &[u8], code: CloseCode) {
        assert_eq!(whole(buf, &LIMITS).unwrap_err().code, code);
        assert_eq!(Frames::new(buf, &LIMITS).last().unwrap().unwrap_err().code, code);
    }

    #[test]
    fn whole_frames_are_counted_and_the_rest_waits() {
        let buf = [6, 1, b'x', 0x90, 0, 6, 2, b'y'];
        assert_eq!(whole(&buf, &LIMITS), Ok(5));
        assert_eq!(whole(&buf[..4], &LIMITS), Ok(3));
        assert_eq!(whole(&[6], &LIMITS), Ok(0));
        assert_eq!(whole(&[3, 0x40], &LIMITS), Ok(0));
        let frames: Vec<_> = Frames::new(&buf[..5], &LIMITS).collect();
        assert_eq!(frames, [Ok(Frame { kind: 6, body: b"x" }), Ok(Frame { kind: 0x90, body: b"" })]);
    }

    #[test]
    fn a_message_must_not_end_within_a_frame() {
        let last = Frames::new(&[6, 0, 6, 2, b'y'], &LIMITS).last().unwrap();
        assert_eq!(last.unwrap_err().code, CloseCode::BadFrame);
    }

    #[test]
    fn too_much_is_refused_on_announcement() {
        refused(&[3, 0x41, 0xfe], CloseCode::TooLarge); // 510 and a header of 3
        assert_eq!(whole(&[3, 0x41, 0xfd], &LIMITS), Ok(0)); // 509 and a header of 3
        refused(&[1, 0x40, 65], CloseCode::TooLarge);
        refused(&[6, 9], CloseCode::TooLarge);
        refused(&[7, 9], CloseCode::TooLarge);
        refused(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], CloseCode::TooLarge);
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused_at_once() {
        for kind in [0x00, 0x0c, 0x7f] {
            refused(&[kind], CloseCode::BadFrame);
        }
        assert_eq!(whole(&[0x80, 0], &LIMITS), Ok(2));
    }

    proptest! {
        #[test]
        fn what_is_counted_whole_is_whole(buf in any::<Vec<u8>>()) {
            if let Ok(length) = whole(&buf, &LIMITS) {
                let frames: Result<Vec<_>, _> = Frames::new(&buf[..length], &LIMITS).collect();
                prop_assert!(frames.is_ok());
            }
        }
    }
}
