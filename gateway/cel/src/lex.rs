//! Text to tokens, as the language definition of CEL has them.

use std::ops::Range;

use crate::problem::Problem;

/// The longest expression, in bytes.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 8 << 10;

const ESCAPES: &str = r#"escapes are \\ \" \' \` \? \a \b \f \n \r \t \v \xHH \ooo \uHHHH \UHHHHHHHH; in r"..." there are none"#;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Word(String),
    /// An integer without sign; 2^63 only makes sense after a minus.
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    /// One of [`MARKS`].
    Mark(&'static str),
    End,
}

/// Longer ones first.
const MARKS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// The tokens of an expression; the last is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("an expression of {} bytes", text.len());
        return Err(Problem::new(0..0, message, format!("write at most {EXPRESSION_BYTES_MAX}")));
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        let is_last = token.kind == Kind::End;
        tokens.push(token);
        if is_last {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Token, Problem> {
        self.blank();
        let start = self.at;
        let kind = self.kind()?;
        Ok(Token { kind, at: start..self.at })
    }

    fn kind(&mut self) -> Result<Kind, Problem> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        if let Some((prefix, quote)) = quoted(rest) {
            return self.string(prefix, quote);
        }
        if first.is_ascii_digit() || (first == '.' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(Kind::Word(word.to_owned()));
        }
        if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            self.at += mark.len();
            return Ok(Kind::Mark(mark));
        }
        let at = self.at..self.at + first.len_utf8();
        let help = match first {
            '=' => "for equality write `==`",
            '&' => "for \"and\" write `&&`",
            '|' => "for \"or\" write `||`",
            _ => "write text in quotes",
        };
        Err(Problem::new(at, format!("`{first}` is not part of the language"), help))
    }

    /// Passes over white space and comments.
    fn blank(&mut self) {
        loop {
            self.take(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn number(&mut self) -> Result<Kind, Problem> {
        let start = self.at;
        let rest = self.rest();
        let kind = if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            self.at += 2 + digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            u64::from_str_radix(self.since(start + 2), 16).ok().map(Kind::Int)
        } else {
            self.take(|c| c.is_ascii_digit());
            let is_double = self.fraction() | self.exponent();
            let text = self.since(start);
            match is_double {
                true => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Kind::Double),
                false => text.parse().ok().map(Kind::Int),
            }
        };
        let kind = match kind {
            Some(Kind::Int(value)) if self.takes("u") || self.takes("U") => Some(Kind::Uint(value)),
            kind => kind,
        };
        let rest = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
        kind.filter(|_| rest.is_empty()).ok_or_else(|| {
            let message = format!("`{}` is not a number", self.since(start));
            Problem::new(
                start..self.at,
                message,
                "numbers are written 1, 0x1f, 1u, 1.5 or 1e3, and fit 64 bits",
            )
        })
    }

    fn fraction(&mut self) -> bool {
        let mut chars = self.rest().chars();
        let is_fraction = chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit());
        if is_fraction {
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
        }
        is_fraction
    }

    fn exponent(&mut self) -> bool {
        let rest = self.rest();
        let after = rest.strip_prefix(['e', 'E']).unwrap_or_default();
        let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
        let is_exponent = digits.starts_with(|c: char| c.is_ascii_digit());
        if is_exponent {
            self.at += rest.len() - digits.len();
            self.take(|c| c.is_ascii_digit());
        }
        is_exponent
    }

    /// A string whose prefix and opening quotes are next.
    fn string(&mut self, prefix: &str, quote: &str) -> Result<Kind, Problem> {
        let start = self.at;
        if prefix.contains(['b', 'B']) {
            let at = start..start + prefix.len() + quote.len();
            return Err(Problem::new(
                at,
                "bytes are not supported",
                "events have text: write it without `b`",
            ));
        }
        let is_raw = !prefix.is_empty();
        self.at += prefix.len() + quote.len();
        let mut text = String::new();
        while !self.takes(quote) {
            let unfinished = || {
                Problem::new(
                    start..self.text.len(),
                    "a string without its end",
                    format!("close it with {quote}"),
                )
            };
            let next = self.rest().chars().next().ok_or_else(unfinished)?;
            if next == '\n' && quote.len() == 1 {
                return Err(unfinished());
            }
            text.push(match next {
                '\\' if !is_raw => self.escape()?,
                _ => {
                    self.at += next.len_utf8();
                    next
                }
            });
        }
        Ok(Kind::Text(text))
    }

    /// What a backslash, which is next, and what follows it stand for.
    fn escape(&mut self) -> Result<char, Problem> {
        let start = self.at;
        self.at += 1;
        let kind = self.rest().chars().next();
        self.at += kind.map_or(0, char::len_utf8);
        let char = match kind {
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            Some(char @ ('\\' | '"' | '\'' | '`' | '?')) => Some(char),
            Some('x' | 'X') => self.digits(2, 16),
            Some('u') => self.digits(4, 16),
            Some('U') => self.digits(8, 16),
            Some('0'..='3') => {
                self.at -= 1;
                self.digits(3, 8)
            }
            _ => None,
        };
        let at = start..self.at.min(self.text.len());
        char.ok_or_else(|| Problem::new(at, "not an escape", ESCAPES))
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<char> {
        let digits = self.rest().get(..count).filter(|digits| digits.chars().all(|c| c.is_digit(radix)))?;
        self.at += count;
        u32::from_str_radix(digits, radix).ok().and_then(char::from_u32)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.len() - rest.trim_start_matches(is_part).len();
        self.at += taken;
        rest.get(..taken).unwrap_or_default()
    }

    fn takes(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }
}

/// The prefix and the opening quotes of a string that `rest` begins with.
fn quoted(rest: &str) -> Option<(&str, &str)> {
    let prefix = rest.len() - rest.trim_start_matches(['r', 'R', 'b', 'B']).len();
    let (prefix, rest) = rest.split_at_checked(prefix).filter(|(prefix, _)| prefix.len() <= 2)?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote))?;
    Some((prefix, quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[track_caller]
    fn is(text: &str, kind: Kind) {
        assert_eq!(kinds(text), [kind, Kind::End], "{text}");
    }

    #[test]
    fn numbers() {
        is("0", Kind::Int(0));
        is("9223372036854775808", Kind::Int(1 << 63));
        is("0x1F", Kind::Int(31));
        is("7u", Kind::Uint(7));
        is("0xffU", Kind::Uint(255));
        is("1.5", Kind::Double(1.5));
        is(".5", Kind::Double(0.5));
        is("1e3", Kind::Double(1000.0));
        is("2.5E-1", Kind::Double(0.25));
        for wrong in ["0x", "1.5u", "18446744073709551616", "1e999", "12abc", "1_000"] {
            assert_eq!(tokens(wrong).unwrap_err().at, 0..wrong.len(), "{wrong}");
        }
    }

    #[test]
    fn strings() {
        let text = |text: &str| Kind::Text(text.to_owned());
        is(r#""a\"b""#, text("a\"b"));
        is("'it\\'s'", text("it's"));
        is(r#"r"\d+""#, text(r"\d+"));
        is("'''a\n'b'''", text("a\n'b"));
        is("\"\"\"\"\"\"", text(""));
        is(r"'\x41\u00e9\U0001f600\101\?'", text("A\u{e9}\u{1f600}A?"));
        for wrong in ["'a", "\"a\n\"", r"'\q'", r"'\ud800'", "b'a'", r"'\u12'", "'''a''"] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn marks_words_and_comments() {
        let mark = Kind::Mark;
        let word = |word: &str| Kind::Word(word.to_owned());
        assert_eq!(
            kinds("a.b_1<=!c // and\n&&r[0]"),
            [
                word("a"),
                mark("."),
                word("b_1"),
                mark("<="),
                mark("!"),
                word("c"),
                mark("&&"),
                word("r"),
                mark("["),
                Kind::Int(0),
                mark("]"),
                Kind::End
            ]
        );
        assert_eq!(tokens("a = b").unwrap_err().help, "for equality write `==`");
        assert_eq!(tokens("a \u{e9}").unwrap_err().at, 2..4);
    }
}
