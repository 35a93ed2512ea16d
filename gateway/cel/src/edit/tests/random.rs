//! Random payloads and paths, against a model that works on trees.

use proptest::prelude::*;

use super::super::path::Step;
use super::*;

/// JSON as it is written.
#[derive(Clone, Debug)]
enum Written {
    Value(String),
    Object(Vec<(String, Written)>, &'static str),
    Array(Vec<Written>, &'static str),
}

/// A redaction on its way: its position, and the steps that are left.
type Places<'p> = Vec<(usize, &'p [Step])>;

fn written() -> impl Strategy<Value = Written> {
    let leaf = prop::sample::select(&[
        "1",
        "-2.50",
        "true",
        "null",
        "\"secret\"",
        "\"\\u0073\"",
        "\"\u{e9}\"",
        "\"\"",
    ]);
    let space = || prop::sample::select(&["", " ", "\n\t"]);
    leaf.prop_map(|text| Written::Value(text.to_owned())).prop_recursive(5, 40, 5, move |inner| {
        let name = prop::sample::select(&["a", "b", "c", "\\u0061", "B"]).prop_map(str::to_owned);
        prop_oneof![
            (prop::collection::vec((name, inner.clone()), 0..5), space())
                .prop_map(|(m, s)| Written::Object(m, s)),
            (prop::collection::vec(inner, 0..4), space()).prop_map(|(e, s)| Written::Array(e, s)),
        ]
    })
}

fn path() -> impl Strategy<Value = Path> {
    let step = prop::sample::select(&[".a", ".b", ".c", "[0]", "[1]", "[*]", ".*", ".**", ".**"]);
    prop::collection::vec(step, 1..5)
        .prop_map(|steps| format!("data{}", steps.concat().replace(".**.**", ".**").replace(".**.**", ".**")))
        .prop_map(|text| Path::parse(&text).unwrap())
}

impl Written {
    fn text(&self) -> String {
        let list = |parts: Vec<String>, space: &str| parts.join(&format!("{space},{space}"));
        match self {
            Self::Value(text) => text.clone(),
            Self::Object(members, space) => {
                let members =
                    members.iter().map(|(name, value)| format!("\"{name}\"{space}:{space}{}", value.text()));
                format!("{{{space}{}{space}}}", list(members.collect(), space))
            }
            Self::Array(elements, space) => {
                format!("[{space}{}{space}]", list(elements.iter().map(Self::text).collect(), space))
            }
        }
    }

    /// What is left of it; `None` where it goes.
    fn redact(&self, places: Places<'_>, removes: usize) -> Option<Self> {
        let mut places = places;
        let mut at = 0;
        while let Some((rule, steps)) = places.get(at).copied() {
            if let [Step::Deep, rest @ ..] = steps
                && !rest.is_empty()
            {
                places.push((rule, rest));
            }
            at += 1;
        }
        let is_leaf = matches!(self, Self::Value(_));
        let hits = |steps: &[Step]| steps.is_empty() || is_leaf && steps == [Step::Deep];
        if places.iter().any(|(rule, steps)| steps.is_empty() && *rule < removes) {
            return None;
        }
        if places.iter().any(|(_, steps)| hits(steps)) && self.text() != "null" {
            return Some(Self::Value("\"***\"".to_owned()));
        }
        let below = |takes: &dyn Fn(&Step) -> bool| -> Places<'_> {
            let next = places.iter().filter_map(|(rule, steps)| match steps {
                [Step::Deep, ..] => Some((*rule, *steps)),
                [step, rest @ ..] if takes(step) => Some((*rule, rest)),
                _ => None,
            });
            next.collect()
        };
        Some(match self {
            Self::Value(_) => self.clone(),
            Self::Object(members, space) => {
                let left = members.iter().filter_map(|(written, value)| {
                    let name = written.replace("\\u0061", "a");
                    let takes = |step: &Step| *step == Step::AnyMember || *step == Step::Name(name.clone());
                    Some((written.clone(), value.redact(below(&takes), removes)?))
                });
                Self::Object(left.collect(), space)
            }
            Self::Array(elements, space) => {
                let left = (0..).zip(elements).filter_map(|(index, value)| {
                    value.redact(
                        below(&|step| *step == Step::AnyElement || *step == Step::Index(index)),
                        removes,
                    )
                });
                Self::Array(left.collect(), space)
            }
        })
    }

    fn has_duplicates(&self) -> bool {
        match self {
            Self::Value(_) => false,
            Self::Array(elements, _) => elements.iter().any(Self::has_duplicates),
            Self::Object(members, _) => {
                let name = |(written, _): &(String, Self)| written.replace("\\u0061", "a");
                let twice =
                    |(index, member)| members.iter().take(index).any(|other| name(other) == name(member));
                members.iter().enumerate().any(twice)
                    || members.iter().any(|(_, value)| value.has_duplicates())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_masked_is_gone_and_every_other_byte_is_as_it_was(payload in written(), paths in prop::collection::vec(path(), 1..5)) {
        let text = payload.text();
        let redactions = paths.iter().map(|path| Redaction { path: path.clone(), ..mask("data.x") }).collect();
        match run(redactions, &text) {
            Ok((left, done)) => {
                let places = paths.iter().enumerate().map(|(rule, path)| (rule, path.steps.as_slice())).collect();
                let expected = payload.redact(places, 0).map(|left| left.text()).unwrap_or_default();
                prop_assert_eq!(done.is_edited, expected != text);
                prop_assert_eq!(left, expected);
            }
            Err(error) => prop_assert!(payload.has_duplicates(), "{}: {}", error, text),
        }
    }

    #[test]
    fn what_is_removed_is_gone_and_every_other_value_is_as_it_was(
        payload in written(),
        removed in prop::collection::vec(path(), 1..4),
        masked in prop::collection::vec(path(), 0..3),
    ) {
        let text = payload.text();
        let removed: Vec<_> = removed.into_iter().filter(|path| !path.ends_deep()).collect();
        let paths: Vec<_> = removed.iter().chain(&masked).cloned().collect();
        let action = |index: usize| if index < removed.len() { Action::Remove } else { Action::Mask };
        let redactions = paths.iter().enumerate();
        let redactions = redactions.map(|(index, path)| Redaction { path: path.clone(), ..redaction("data.x", action(index)) });
        match run(redactions.collect(), &text) {
            Ok((left, _)) => {
                let places = paths.iter().enumerate().map(|(rule, path)| (rule, path.steps.as_slice())).collect();
                let expected = payload.redact(places, removed.len()).map(|left| left.text()).unwrap_or_default();
                let bare = |text: &str| text.replace([' ', '\n', '\t'], "");
                prop_assert_eq!(bare(&left), bare(&expected));
            }
            Err(error) => prop_assert!(payload.has_duplicates(), "{}: {}", error, text),
        }
    }
}
