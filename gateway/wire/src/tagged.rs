/// The JSON coding of a control frame: its body with `t` in front.
pub(crate) fn tagged(name: &str, body: &str) -> String {
    match body.strip_prefix('{') {
        Some("}") | None => format!(r#"{{"t":"{name}"}}"#),
        Some(members) => format!(r#"{{"t":"{name}",{members}"#),
    }
}
