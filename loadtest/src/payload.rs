//! What is sent: events that say which client sent them under which number, so that every one can be found again.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The attribute that names an event: `RUN.CLIENT.NUMBER`, of fixed width.
const OPEN: &[u8] = br#"{"loadtest":""#;
const CLIENT_DIGITS: usize = 5;
const NUMBER_DIGITS: usize = 10;
/// `RUN` has as many characters.
pub(crate) const RUN_CHARS: usize = 8;

/// More clients than these cannot be told apart by [`CLIENT_DIGITS`].
pub(crate) const CLIENTS_MAX: u32 = 99_999;

/// Structured events to send, over and over.
pub(crate) struct Payload {
    run: String,
    /// What follows the name in each event.
    rests: Vec<Vec<u8>>,
}

/// Which event a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EventName {
    pub(crate) client: u32,
    pub(crate) number: u64,
}

impl Payload {
    /// Events of `size` bytes each, as they are sent: a minimal `CloudEvent` with a few measurements.
    pub(crate) fn synthetic(run: &str, size: usize) -> Result<Self> {
        let head = r#"","type":"load.test","data":{"temperature":21.5,"humidity":48.25,"ok":true,"note":""#;
        let tail = r#""}}"#;
        let fixed = name_bytes() + head.len() + tail.len();
        let Some(padding) = size.checked_sub(fixed) else {
            bail!("--size {size}: the smallest event has {fixed} bytes");
        };
        let text: String =
            "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(padding).collect();
        Ok(Self { run: run.to_owned(), rests: vec![format!("{head}{text}{tail}").into_bytes()] })
    }

    /// The events of a recording, one JSON object a line.
    pub(crate) fn recording(run: &str, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("--payload {}", path.display()))?;
        let mut rests = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
                .with_context(|| format!("--payload {}, line {}: not an event", path.display(), at + 1))?;
            let rest = line.trim().strip_prefix('{').filter(|_| !object.is_empty()).with_context(|| {
                format!("--payload {}, line {}: an event has at least a `type`", path.display(), at + 1)
            })?;
            if object.contains_key("loadtest") {
                bail!("--payload {}, line {}: `loadtest` is set for each event", path.display(), at + 1);
            }
            rests.push(format!("\",{rest}").into_bytes());
        }
        if rests.is_empty() {
            bail!("--payload {}: no events in it", path.display());
        }
        Ok(Self { run: run.to_owned(), rests })
    }

    /// Writes event `number` of `client` into `out`, in place of what was there.
    pub(crate) fn write(&self, client: u32, number: u64, out: &mut Vec<u8>) {
        out.clear();
        self.append(client, number, out);
    }

    /// Appends event `number` of `client`.
    pub(crate) fn append(&self, client: u32, number: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(OPEN);
        out.extend_from_slice(self.run.as_bytes());
        out.push(b'.');
        digits::<CLIENT_DIGITS>(u64::from(client), out);
        out.push(b'.');
        digits::<NUMBER_DIGITS>(number, out);
        let rest = usize::try_from(number).unwrap_or(0) % self.rests.len();
        out.extend_from_slice(self.rests.get(rest).map_or(&[], Vec::as_slice));
    }

    /// Bytes of `count` events from `number` on.
    pub(crate) fn bytes(&self, number: u64, count: u32) -> u64 {
        let fixed = name_bytes() as u64 * u64::from(count);
        match self.rests.as_slice() {
            [rest] => fixed + rest.len() as u64 * u64::from(count),
            rests => {
                let at = usize::try_from(number).unwrap_or(0) % rests.len();
                let next = rests.iter().cycle().skip(at).take(count as usize);
                fixed + next.map(|rest| rest.len() as u64).sum::<u64>()
            }
        }
    }

    /// Which event of this run a record's value is; `None` where it is none.
    pub(crate) fn name_in(&self, value: &[u8]) -> Option<EventName> {
        let key = br#""loadtest":""#;
        let at = value.windows(key.len()).position(|window| window == key)?;
        self.parse(value.get(at + key.len()..)?)
    }

    /// Which event of this run an attribute names.
    pub(crate) fn parse(&self, name: &[u8]) -> Option<EventName> {
        let rest = name.strip_prefix(self.run.as_bytes())?.strip_prefix(b".")?;
        let (client, rest) = rest.split_at_checked(CLIENT_DIGITS)?;
        let number = rest.strip_prefix(b".")?.get(..NUMBER_DIGITS)?;
        let client = std::str::from_utf8(client).ok()?.parse().ok()?;
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some(EventName { client, number })
    }
}

fn name_bytes() -> usize {
    OPEN.len() + RUN_CHARS + 1 + CLIENT_DIGITS + 1 + NUMBER_DIGITS
}

fn digits<const N: usize>(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        let ones = (value % 10) as u8;
        *digit = b'0' + ones;
        value /= 10;
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_event_has_its_size_is_json_and_says_which_it_is() {
        let payload = Payload::synthetic("run00001", 200).unwrap();
        let mut event = Vec::new();
        payload.write(7, 1_234_567, &mut event);
        assert_eq!(event.len(), 200);
        let json: serde_json::Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(json["loadtest"], "run00001.00007.0001234567");
        assert_eq!(payload.name_in(&event), Some(EventName { client: 7, number: 1_234_567 }));
        assert!(Payload::synthetic("run00001", 20).is_err());
    }

    #[test]
    fn a_recording_is_sent_over_and_over_and_other_runs_are_not_ours() {
        let file = std::env::temp_dir().join(format!("loadtest-payload-{}", std::process::id()));
        std::fs::write(&file, "{\"type\":\"a\"}\n\n{\"type\":\"b\",\"data\":1}\n").unwrap();
        let payload = Payload::recording("run00001", &file).unwrap();
        let mut event = Vec::new();
        payload.write(1, 3, &mut event);
        assert_eq!(event, br#"{"loadtest":"run00001.00001.0000000003","type":"b","data":1}"#);
        let mut events = Vec::new();
        (3..8).for_each(|number| payload.append(1, number, &mut events));
        assert_eq!(payload.bytes(3, 5), events.len() as u64);
        assert_eq!(Payload::synthetic("run00002", 200).unwrap().name_in(&event), None);
        std::fs::write(&file, "{\"type\":\"a\"}\nnonsense\n").unwrap();
        let error = format!("{:#}", Payload::recording("run00001", &file).err().unwrap());
        assert!(error.contains("line 2"), "{error}");
        std::fs::remove_file(&file).unwrap();
    }
}
