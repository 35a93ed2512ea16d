use super::*;

/// The expression with every operation in parentheses.
fn shown(expr: &Expr) -> String {
    let list = |list: &[Expr]| list.iter().map(shown).collect::<Vec<_>>().join(", ");
    match &expr.kind {
        Kind::Literal(Literal::Null) => "null".into(),
        Kind::Literal(Literal::Bool(value)) => value.to_string(),
        Kind::Literal(Literal::Int(value)) => value.to_string(),
        Kind::Literal(Literal::Uint(value)) => format!("{value}u"),
        Kind::Literal(Literal::Double(value)) => format!("{value:?}"),
        Kind::Literal(Literal::Text(value)) => format!("{value:?}"),
        Kind::Name(name) => name.clone(),
        Kind::Field(of, name) => format!("{}.{name}", shown(of)),
        Kind::Index(of, index) => format!("{}[{}]", shown(of), shown(index)),
        Kind::Call(Call { target, name, arguments, .. }) => {
            let target = target.as_ref().map(|target| shown(target) + ".").unwrap_or_default();
            format!("{target}{name}({})", list(arguments))
        }
        Kind::Not(of) => format!("!{}", shown(of)),
        Kind::Negative(of) => format!("-{}", shown(of)),
        Kind::Or(a, b) => format!("({} || {})", shown(a), shown(b)),
        Kind::And(a, b) => format!("({} && {})", shown(a), shown(b)),
        Kind::Relation(relation, a, b) => format!("({} {} {})", shown(a), relation.mark(), shown(b)),
        Kind::In(a, b) => format!("({} in {})", shown(a), shown(b)),
        Kind::Arithmetic(operator, a, b) => format!("({} {} {})", shown(a), operator.mark(), shown(b)),
        Kind::Choice(parts) => {
            let [when, then, otherwise] = &**parts;
            format!("({} ? {} : {})", shown(when), shown(then), shown(otherwise))
        }
        Kind::List(items) => format!("[{}]", list(items)),
    }
}

#[track_caller]
fn reads(text: &str, expected: &str) {
    assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
}

#[track_caller]
fn refuses(text: &str, marked: &str, help: &str) {
    let problem = parse(text).unwrap_err();
    assert_eq!(
        (text.get(problem.at.clone()).unwrap(), problem.help.as_str()),
        (marked, help),
        "{text}: {problem}"
    );
}

#[test]
fn operators_bind_as_in_cel() {
    reads("a || b && c", "(a || (b && c))");
    reads("a && b || c", "((a && b) || c)");
    reads("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)");
    reads("a < 1 == true", "((a < 1) == true)");
    reads("a in [1, 2,] && !b", "((a in [1, 2]) && !b)");
    reads("a ? b : c ? d : e", "(a ? b : (c ? d : e))");
    reads("-a.b + - 1", "(-a.b + -1)");
    reads("a - 1", "(a - 1)");
    reads("(a || b) && c", "((a || b) && c)");
    reads("-9223372036854775808", "-9223372036854775808");
    reads("!!a", "!!a");
}

#[test]
fn members_follow_values() {
    reads("data.a[0]['b'].c", "data.a[0][\"b\"].c");
    reads("type.startsWith('a')", "type.startsWith(\"a\")");
    reads("has(data.a)", "has(data.a)");
    reads("data.in", "data.in");
    reads("size([1])", "size([1])");
}

#[test]
fn what_is_not_the_language_is_marked() {
    refuses("a &&", "", "expected a value");
    refuses("a b", "b", "expected an operator or the end");
    refuses("(a", "", "expected `)`");
    refuses("f(a b)", "b", "expected `,`");
    refuses("a.1", ".1", "expected an operator or the end");
    refuses("a.", "", "expected a name; another one is written [\"...\"]");
    refuses("if", "if", "it is reserved in CEL; as a name in the payload write [\"...\"]");
    refuses("{'a': 1}", "{", "compare fields one by one; lists are written [a, b]");
    refuses(
        "9223372036854775808",
        "9223372036854775808",
        "write 9223372036854775808u or 9223372036854775808.0",
    );
    refuses("a ? b", "", "expected `:`");
}

#[test]
fn depth_and_length_have_limits() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(31)).is_ok());
    assert!(parse(&nested(32)).unwrap_err().message.contains("32 deep"));
    assert!(parse(&"!".repeat(5_000)).is_err());
    let chain = |parts: usize| vec!["a"; parts + 1].join("||");
    assert!(parse(&chain(512)).is_ok());
    assert!(parse(&chain(513)).unwrap_err().message.contains("512"));
    assert!(parse(&format!("a{}", ".b".repeat(513))).is_err());
}
