//! The two members of a query that mean something here.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// `?token=` and `?type=`, decoded; the first of each counts.
#[derive(Default)]
pub(in crate::listen) struct Query<'a> {
    pub(in crate::listen) token: Option<Cow<'a, str>>,
    pub(super) event_type: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    /// Reads what stands behind the `?`. A value that is not UTF-8 once decoded has the bad parts replaced, and
    /// so matches nothing.
    pub(in crate::listen) fn parse(query: Option<&'a str>) -> Self {
        let mut found = Self::default();
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|member| member.split_once('='))
        {
            let place = match name {
                "token" => &mut found.token,
                "type" => &mut found.event_type,
                _ => continue,
            };
            place.get_or_insert_with(|| decode(value));
        }
        found
    }
}

fn decode(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(value).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_decoded_and_the_first_counts() {
        let query = Query::parse(Some("a=1&token=web.s%2Fx&type=order+placed&token=other&flag"));
        assert_eq!(query.token.as_deref(), Some("web.s/x"));
        assert_eq!(query.event_type.as_deref(), Some("order placed"));
        assert!(Query::parse(None).token.is_none());
    }
}
