//! Bodies: read in time, within their limit, and within what all of them together may hold.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tidegate_wire::inflate::{self, Encoding, inflate};
use tidegate_wire::{Limits, Reason};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::Refusal;

/// The budget is handed out in these units; a request takes at least four.
const UNIT_BYTES: u64 = 1 << 10;
const LEAST_UNITS: u32 = 4;
/// How much, and for how long, is read of a body that was refused.
const DISCARD_BYTES: usize = 8 << 20;
const DISCARD_PATIENCE: Duration = Duration::from_secs(2);
/// What a body usually inflates to; one that inflates to more costs a second try.
const USUAL_RATIO: u64 = 10;
const SMALL_BYTES: u64 = 64 << 10;
/// What is inflated on the spot; more goes to a thread where it holds up nobody.
const INLINE_BYTES: u32 = 1 << 20;
/// When a request that found no room may come again.
const RETRY_MS: u64 = 1_000;

/// What all bodies together may hold.
#[derive(Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.clamp(LEAST_UNITS as usize, Semaphore::MAX_PERMITS))))
    }

    fn hold(&self, units: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let held = Arc::clone(&self.0).try_acquire_many_owned(units);
        held.map_err(|_| Refusal::busy(Reason::Memory, RETRY_MS))
    }
}

/// A whole body and its share of the budget.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    held: OwnedSemaphorePermit,
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
    budget: &Budget,
    patience: Duration,
) -> Result<Body, Refusal> {
    let mut body = Body { bytes: Bytes::new(), held: budget.hold(LEAST_UNITS)? };
    let all = async {
        let mut several = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let Ok(frame) = frame else { return Err(Refusal::bad("the body broke off before its end")) };
            let Ok(data) = frame.into_data() else { continue };
            let total = body.bytes.len() + several.len() + data.len();
            if total > limits.max_body_bytes as usize {
                return Err(too_large(limits.max_body_bytes));
            }
            body.grow(total as u64, budget)?;
            // A body that comes in one piece is not copied.
            match (body.bytes.is_empty(), several.is_empty()) {
                (true, true) => body.bytes = data,
                (_, is_first) => {
                    if is_first {
                        several.extend_from_slice(&std::mem::take(&mut body.bytes));
                    }
                    several.extend_from_slice(&data);
                    body.grow(several.capacity() as u64, budget)?;
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
    /// The body inflated, with a share of the budget for what comes out, taken before it does.
    pub(super) async fn inflated(
        mut self,
        encoding: Option<Encoding>,
        limits: &Limits,
        budget: &Budget,
    ) -> Result<Self, Refusal> {
        let Some(encoding) = encoding.filter(|_| !self.bytes.is_empty()) else { return Ok(self) };
        let most = limits.max_inflated_body_bytes;
        let sent = self.bytes.len() as u64;
        let usual = sent.saturating_mul(USUAL_RATIO).max(SMALL_BYTES).min(u64::from(most));
        self.grow(sent + usual, budget)?;
        let usual = u32::try_from(usual).unwrap_or(most);
        let mut inflated = run(self.bytes.clone(), encoding, usual).await;
        if usual < most && matches!(inflated, Err(inflate::Error::TooLarge { .. })) {
            self.grow(sent + u64::from(most), budget)?;
            inflated = run(self.bytes.clone(), encoding, most).await;
        }
        let bytes = inflated.map_err(|error| match error {
            inflate::Error::TooLarge { .. } => Refusal::too_large(format!("the body {error}")),
            inflate::Error::Corrupt => {
                Refusal::new(StatusCode::BAD_REQUEST, "bad_body", format!("the body {error}"))
            }
        })?;
        self.shrink(bytes.capacity() as u64);
        self.bytes = bytes.into();
        Ok(self)
    }

    fn grow(&mut self, bytes: u64, budget: &Budget) -> Result<(), Refusal> {
        let needed = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let held = u32::try_from(self.held.num_permits()).unwrap_or(u32::MAX);
        if needed > held {
            self.held.merge(budget.hold(needed - held)?);
        }
        Ok(())
    }

    fn shrink(&mut self, bytes: u64) {
        let needed = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).max(LEAST_UNITS);
        drop(self.held.split(self.held.num_permits().saturating_sub(needed as usize)));
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

    use super::*;

    fn body(bytes: Vec<u8>, budget: &Budget) -> Body {
        let mut body = Body { bytes: Bytes::new(), held: budget.hold(LEAST_UNITS).unwrap() };
        body.grow(bytes.len() as u64, budget).unwrap();
        body.bytes = bytes.into();
        body
    }

    #[tokio::test]
    async fn what_inflates_far_is_taken_up_to_the_limit_and_keeps_its_size_of_the_budget() {
        let limits = Limits { max_inflated_body_bytes: 2 << 20, ..Limits::default() };
        let budget = Budget::new(4 << 20);
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let sent = |bytes: usize| body(deflate(encoding, &vec![b' '; bytes]).unwrap(), &budget);
            let inflated = sent(2 << 20).inflated(Some(encoding), &limits, &budget).await.ok().unwrap();
            assert_eq!(inflated.bytes.len(), 2 << 20);
            assert_eq!(budget.0.available_permits(), 2 << 10);
            let refused = sent(2 << 20).inflated(Some(encoding), &limits, &budget).await.err().unwrap();
            assert_eq!(refused.reason(), "memory");
            drop(inflated);
            let refused = sent((2 << 20) + 1).inflated(Some(encoding), &limits, &budget).await.err().unwrap();
            assert_eq!(refused.reason(), "too_large");
            assert_eq!(budget.0.available_permits(), 4 << 10);
        }
    }
}
