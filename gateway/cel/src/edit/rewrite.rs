//! What a value becomes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::Regex;
use tidegate_wire::json::{self, Kind, Token};

use super::redact::{Action, Digest, Redaction};
use super::tree::Rules;
use crate::value::Text;

/// Of the same length whatever it stands for.
const MASK: &str = "***";

/// The text that a value is on its way to become.
#[derive(Debug, Default)]
pub(super) struct Texts {
    now: String,
    next: String,
}

/// How a value is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// As it was sent.
    Sent,
    /// Its text is in [`Texts::now`]; what matches in a string can be replaced there.
    Read,
    /// It has become a string.
    Written,
}

impl Texts {
    /// Applies those of `redactions` that are in `hit`, each to what the one before has left; which have changed something.
    /// Null stays null: it says that nothing is there.
    pub(super) fn rewrite(&mut self, redactions: &[Redaction], hit: Rules, token: Token<'_>) -> Rules {
        let (mut state, mut changed) = (State::Sent, 0);
        if token.kind == Kind::Null {
            return changed;
        }
        for (index, redaction) in redactions.iter().enumerate().filter(|(index, _)| hit >> index & 1 == 1) {
            if self.apply(redaction, token, &mut state) {
                changed |= 1 << index;
            }
        }
        changed
    }

    /// Appends what it has become.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        json::write_string(&self.now, out);
    }

    /// Whether it has changed something, or as a shadow would have.
    fn apply(&mut self, redaction: &Redaction, token: Token<'_>, state: &mut State) -> bool {
        let holds_others = matches!(token.kind, Kind::Object | Kind::Array) && *state != State::Written;
        let is_string = matches!(token.kind, Kind::String { .. }) || *state == State::Written;
        let needs_text = redaction.pattern.is_some() || !matches!(redaction.action, Action::Mask);
        let is_text = !needs_text || self.read(token, state);
        if let Some(pattern) = redaction.pattern.as_ref().filter(|_| is_text && !holds_others) {
            if !matches(&pattern.0, &self.now) {
                return false;
            }
            if redaction.is_shadow {
                return true;
            }
            if is_string {
                self.replace(&pattern.0, &redaction.action);
                *state = State::Written;
                return true;
            }
        }
        if redaction.is_shadow {
            return true;
        }
        match &redaction.action {
            Action::Hash(digest) if is_text => hash(digest, &mut self.now),
            Action::Address if is_string && is_text => network(&mut self.now),
            _ => {
                self.now.clear();
                self.now.push_str(MASK);
            }
        }
        *state = State::Written;
        true
    }

    /// Makes its text that in `now`; whether it has one.
    fn read(&mut self, token: Token<'_>, state: &mut State) -> bool {
        if *state != State::Sent {
            return true;
        }
        self.now.clear();
        match token.kind {
            Kind::String { escaped: true } => {
                if Text::json(token.inner(), true).read(&mut self.now).is_err() {
                    return false;
                }
            }
            Kind::String { escaped: false } => self.now.push_str(token.inner()),
            _ => self.now.push_str(token.raw),
        }
        *state = State::Read;
        true
    }

    /// Replaces all matches.
    fn replace(&mut self, pattern: &Regex, action: &Action) {
        let Self { now, next } = self;
        next.clear();
        let mut rest = 0;
        for found in pattern.find_iter(now).filter(|found| !found.is_empty()) {
            next.push_str(now.get(rest..found.start()).unwrap_or_default());
            match action {
                Action::Hash(digest) => push_hash(digest, found.as_str(), next),
                _ => next.push_str(MASK),
            }
            rest = found.end();
        }
        next.push_str(now.get(rest..).unwrap_or_default());
        std::mem::swap(now, next);
    }
}

fn matches(pattern: &Regex, text: &str) -> bool {
    pattern.find_iter(text).any(|found| !found.is_empty())
}

fn hash(digest: &Digest, text: &mut String) {
    let hash = digest(text.as_bytes());
    text.clear();
    push_hex(hash, text);
}

fn push_hash(digest: &Digest, text: &str, out: &mut String) {
    push_hex(digest(text.as_bytes()), out);
}

fn push_hex(hash: [u8; 16], out: &mut String) {
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    out.extend(digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)));
}

/// An address becomes its network's first, all else is masked.
fn network(text: &mut String) {
    use std::fmt::Write as _;
    let address = text.parse().ok();
    text.clear();
    // A string takes whatever is written.
    let _ = match address {
        Some(IpAddr::V4(address)) => write!(text, "{}", network_v4(address)),
        Some(IpAddr::V6(address)) => write!(text, "{}", network_v6(address)),
        None => text.write_str(MASK),
    };
}

fn network_v4(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 0)
}

fn network_v6(address: Ipv6Addr) -> Ipv6Addr {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return network_v4(mapped).to_ipv6_mapped();
    }
    let [a, b, c, ..] = address.segments();
    // 6to4 (RFC 3056) has an IPv4 address in these 48 bits.
    let c = if a == 0x2002 { c & 0xff00 } else { c };
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_those_of_their_networks() {
        for (address, expected) in [
            ("192.0.2.17", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("2001:DB8:1::6", "2001:db8:1::"),
            ("::ffff:192.0.2.17", "::ffff:192.0.2.0"),
            ("2002:c000:0211::1", "2002:c000:200::"),
            ("::192.0.2.17", "::"),
            ("192.0.2.17:443", MASK),
            ("[2001:db8::1]", MASK),
            ("fe80::1%eth0", MASK),
            (" 192.0.2.17", MASK),
            ("192.0.2.017", MASK),
            ("3221225985", MASK),
            ("host", MASK),
            ("", MASK),
        ] {
            let mut text = address.to_owned();
            network(&mut text);
            assert_eq!(text, expected, "{address}");
        }
    }
}
