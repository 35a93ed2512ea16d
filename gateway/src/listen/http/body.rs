//! Bodies: read in time, within their limit, and within what all of them together may hold.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tidegate_wire::Limits;
use tidegate_wire::inflate::{self, Encoding, inflate};
use tokio::time::timeout;

use super::answer::Refusal;
use super::bodies::{Bodies, Share};

/// How much, and for how long, is read of a body that was refused.
const DISCARD_BYTES: usize = 8 << 20;
const DISCARD_PATIENCE: Duration = Duration::from_secs(2);
/// What a body usually inflates to; one that inflates to more costs another try, with so many times the room.
const USUAL_RATIO: u64 = 10;
const SMALL_BYTES: u64 = 64 << 10;
const AGAIN_FACTOR: u32 = 4;
/// What is inflated on the spot; more goes to a thread where it holds up nobody.
const INLINE_BYTES: u32 = 1 << 20;

/// A whole body and its share of the budget.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    held: Share,
}

/// How a body is compressed; 415 for what is not spoken here.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(None) };
    let unsupported = || Refusal::encoding(inflate::Unsupported.to_string());
    Encoding::from_header(value.to_str().map_err(|_| unsupported())?).map_err(|_| unsupported())
}

/// Reads a body to its end. Its share of the budget grows with what has come: announcing alone costs others nothing.
pub(super) async fn read(
    incoming: &mut Incoming,
    limits: &Limits,
    held: Share,
    patience: Duration,
) -> Result<Body, Refusal> {
    let mut body = Body { bytes: Bytes::new(), held };
    let all = async {
        let mut several = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else { return Err(Refusal::bad("the body broke off before its end")) };
            let Ok(data) = frame.into_data() else { continue };
            let total = body.bytes.len() + several.len() + data.len();
            if total > limits.max_body_bytes as usize {
                return Err(too_large(limits.max_body_bytes));
            }
            body.held.grow(total as u64)?;
            // A body that comes in one piece is not copied.
            match (body.bytes.is_empty(), several.is_empty()) {
                (true, true) => body.bytes = data,
                (_, is_first) => {
                    if is_first {
                        several.extend_from_slice(&std::mem::take(&mut body.bytes));
                    }
                    several.extend_from_slice(&data);
                    body.held.grow(several.capacity() as u64)?;
                }
            }
        }
        if !several.is_empty() {
            body.bytes = several.freeze();
        }
        Ok(body)
    };
    timeout(patience, all).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} ms", patience.as_millis());
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
    })
}

/// 413 for an announced size beyond the limit.
pub(super) fn announced(incoming: &Incoming, limits: &Limits) -> Result<(), Refusal> {
    match incoming.size_hint().lower() > u64::from(limits.max_body_bytes) {
        true => Err(too_large(limits.max_body_bytes)),
        false => Ok(()),
    }
}

/// Reads on after a refusal, and drops what comes: over TCP, closing on bytes unread would take the answer back before the
/// client has seen it.
pub(super) async fn discard(mut incoming: Incoming) {
    let all = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = incoming.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(size) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever sends on for longer finds the connection closed.
    let _ = timeout(DISCARD_PATIENCE, all).await;
}

impl Body {
    /// The body inflated, with a share of what all bodies may hold for what comes out, taken before it does.
    pub(super) async fn inflated(
        mut self,
        encoding: Option<Encoding>,
        limits: &Limits,
        bodies: &Bodies,
    ) -> Result<Self, Refusal> {
        let Some(encoding) = encoding.filter(|_| !self.bytes.is_empty()) else { return Ok(self) };
        let sent = self.bytes.len() as u64;
        let room = u32::try_from(bodies.total_bytes().saturating_sub(sent)).unwrap_or(u32::MAX);
        let most = limits.max_inflated_body_bytes.min(room);
        let usual = sent.saturating_mul(USUAL_RATIO).max(SMALL_BYTES);
        let mut limit = u32::try_from(usual).unwrap_or(most).min(most);
        let inflated = loop {
            self.held.grow(sent + u64::from(limit))?;
            match run(self.bytes.clone(), encoding, limit).await {
                Err(inflate::Error::TooLarge { .. }) if limit < most => {
                    limit = limit.saturating_mul(AGAIN_FACTOR).min(most);
                }
                inflated => break inflated,
            }
        };
        let bytes = inflated.map_err(|error| match error {
            inflate::Error::TooLarge { .. } if most < limits.max_inflated_body_bytes => {
                Refusal::too_large(format!(
                    "the body has {sent} bytes and inflates to more than {most}, and this gateway has {} for all bodies: \
                     limits.budget_bytes",
                    bodies.total_bytes()
                ))
            }
            inflate::Error::TooLarge { .. } => Refusal::too_large(format!("the body {error}")),
            inflate::Error::Corrupt => {
                Refusal::new(StatusCode::BAD_REQUEST, "bad_body", format!("the body {error}"))
            }
        })?;
        self.held.shrink(bytes.capacity() as u64);
        self.bytes = bytes.into();
        Ok(self)
    }
}

async fn run(bytes: Bytes, encoding: Encoding, limit_bytes: u32) -> Result<Vec<u8>, inflate::Error> {
    if limit_bytes <= INLINE_BYTES {
        return inflate(encoding, &bytes, limit_bytes);
    }
    let inflated = tokio::task::spawn_blocking(move || inflate(encoding, &bytes, limit_bytes)).await;
    // It was called off: the runtime is going away, and the client's connection with it.
    inflated.unwrap_or(Err(inflate::Error::Corrupt))
}

fn too_large(most: u32) -> Refusal {
    Refusal::too_large(format!("the body has more than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use tidegate_wire::inflate::deflate;

    use super::super::bodies::Owner;
    use super::*;

    fn body(bytes: Vec<u8>, bodies: &Bodies, client: &str) -> Body {
        let mut held = bodies.begin(Owner::named(client)).unwrap();
        held.grow(bytes.len() as u64).unwrap();
        Body { bytes: bytes.into(), held }
    }

    #[tokio::test]
    async fn what_inflates_far_is_taken_up_to_the_limit_and_keeps_its_size_of_the_budget() {
        let limits = Limits { max_inflated_body_bytes: 2 << 20, ..Limits::default() };
        let bodies = Bodies::new(4 << 20);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let sent =
                |bytes: usize, client| body(deflate(encoding, &vec![b' '; bytes]).unwrap(), &bodies, client);
            let inflated = sent(2 << 20, "a").inflated(Some(encoding), &limits, &bodies).await.ok().unwrap();
            assert_eq!(inflated.bytes.len(), 2 << 20);
            assert_eq!(bodies.free_bytes(), 2 << 20);
            let refused = sent(2 << 20, "b").inflated(Some(encoding), &limits, &bodies).await.err().unwrap();
            assert_eq!(refused.reason(), "memory");
            drop(inflated);
            let refused = sent((2 << 20) + 1, "b").inflated(Some(encoding), &limits, &bodies).await;
            assert_eq!(refused.err().unwrap().reason(), "too_large");
            assert_eq!(bodies.free_bytes(), 4 << 20);
        }
    }

    #[tokio::test]
    async fn a_body_is_inflated_where_there_is_room_for_it_though_not_for_the_largest() {
        let limits = Limits::default();
        let bodies = Bodies::new(4 << 20);
        let sent = |bytes: usize| body(deflate(Encoding::Zstd, &vec![b' '; bytes]).unwrap(), &bodies, "a");
        let inflated = sent(3 << 20).inflated(Some(Encoding::Zstd), &limits, &bodies).await;
        assert_eq!(inflated.ok().unwrap().bytes.len(), 3 << 20);
        let refused = sent(5 << 20).inflated(Some(Encoding::Zstd), &limits, &bodies).await.err().unwrap();
        assert_eq!(refused.reason(), "too_large", "however often it comes");
        assert_eq!(bodies.free_bytes(), 4 << 20);
    }
}
