//! Tokens to an [`Expr`], by the grammar of CEL.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::ast::{Arithmetic, Call, Expr, Kind, Literal};
use crate::compare::Relation;
use crate::lex::{self, Token};
use crate::problem::Problem;

/// How deep parentheses, arguments, `!`, `-` and `?:` may be nested.
const DEPTH_MAX: usize = 32;
/// How many operators, fields, indexes and calls there may be: as deep as a chain of them may be followed.
const PARTS_MAX: usize = 512;

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Expr, Problem> {
    let tokens = lex::tokens(text)?;
    let mut parser = Parser { tokens: tokens.into_iter(), next: None, depth: 0, parts: 0, last: 0 };
    let expr = parser.expr()?;
    match parser.peek().kind.clone() {
        lex::Kind::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    tokens: std::vec::IntoIter<Token>,
    next: Option<Token>,
    depth: usize,
    parts: usize,
    /// Where the last token taken ends.
    last: usize,
}

impl Parser {
    fn expr(&mut self) -> Result<Expr, Problem> {
        self.nested(|parser| {
            let when = parser.or()?;
            if !parser.takes("?") {
                return Ok(when);
            }
            let then = parser.or()?;
            parser.expect(":")?;
            let otherwise = parser.expr()?;
            let at = when.at.start..otherwise.at.end;
            Ok(Expr { kind: Kind::Choice(Box::new([when, then, otherwise])), at })
        })
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        let mut left = self.and()?;
        while self.takes("||") {
            let right = self.and()?;
            left = self.pair(left, right, Kind::Or)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut left = self.relation()?;
        while self.takes("&&") {
            let right = self.relation()?;
            left = self.pair(left, right, Kind::And)?;
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<Expr, Problem> {
        let mut left = self.sum()?;
        loop {
            if self.peek().kind == lex::Kind::Word("in".to_owned()) {
                self.take();
                let right = self.sum()?;
                left = self.pair(left, right, Kind::In)?;
            } else if let Some(relation) =
                Relation::ALL.into_iter().find(|relation| self.takes(relation.mark()))
            {
                let right = self.sum()?;
                left = self.pair(left, right, |a, b| Kind::Relation(relation, a, b))?;
            } else {
                return Ok(left);
            }
        }
    }

    fn sum(&mut self) -> Result<Expr, Problem> {
        self.arithmetic([Arithmetic::Add, Arithmetic::Subtract].as_slice(), |parser| {
            let product = [Arithmetic::Multiply, Arithmetic::Divide, Arithmetic::Remainder];
            parser.arithmetic(&product, Self::unary)
        })
    }

    fn arithmetic(
        &mut self,
        operators: &[Arithmetic],
        operand: impl Fn(&mut Self) -> Result<Expr, Problem>,
    ) -> Result<Expr, Problem> {
        let mut left = operand(self)?;
        while let Some(operator) = operators.iter().copied().find(|operator| self.takes(operator.mark())) {
            let right = operand(self)?;
            left = self.pair(left, right, |a, b| Kind::Arithmetic(operator, a, b))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        let start = self.peek().at.start;
        if self.takes("!") {
            let operand = self.nested(Self::unary)?;
            return Ok(Expr { at: start..operand.at.end, kind: Kind::Not(Box::new(operand)) });
        }
        if self.takes("-") {
            if let lex::Kind::Int(value) = self.peek().kind
                && let Some(value) = 0i64.checked_sub_unsigned(value)
            {
                self.take();
                let literal = Expr { kind: Kind::Literal(Literal::Int(value)), at: start..self.last };
                return self.member(literal);
            }
            let operand = self.nested(Self::unary)?;
            return Ok(Expr { at: start..operand.at.end, kind: Kind::Negative(Box::new(operand)) });
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    /// What follows a value: fields, indexes, calls.
    fn member(&mut self, mut target: Expr) -> Result<Expr, Problem> {
        loop {
            let start = target.at.start;
            let kind = if self.takes(".") {
                let (name, name_at) = self.name()?;
                match self.takes("(") {
                    true => Kind::Call(Call {
                        target: Some(Box::new(target)),
                        name,
                        name_at,
                        arguments: self.list(")")?,
                    }),
                    false => Kind::Field(Box::new(target), name),
                }
            } else if self.takes("[") {
                let index = self.expr()?;
                self.expect("]")?;
                Kind::Index(Box::new(target), Box::new(index))
            } else {
                return Ok(target);
            };
            target = Expr { kind, at: start..self.last };
            self.count(&target.at)?;
        }
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        let token = self.take();
        let literal = |literal| Ok(Expr { kind: Kind::Literal(literal), at: token.at.clone() });
        match token.kind {
            lex::Kind::Int(value) => match i64::try_from(value) {
                Ok(value) => literal(Literal::Int(value)),
                Err(_) => Err(Problem::new(
                    token.at,
                    "an integer beyond 2^63-1",
                    format!("write {value}u or {value}.0"),
                )),
            },
            lex::Kind::Uint(value) => literal(Literal::Uint(value)),
            lex::Kind::Double(value) => literal(Literal::Double(value)),
            lex::Kind::Text(text) => literal(Literal::Text(text)),
            lex::Kind::Word(word) => match word.as_str() {
                "true" => literal(Literal::Bool(true)),
                "false" => literal(Literal::Bool(false)),
                "null" => literal(Literal::Null),
                _ => self.named(word, token.at),
            },
            lex::Kind::Mark("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(Expr { kind: inner.kind, at: token.at.start..self.last })
            }
            lex::Kind::Mark("[") => {
                let kind = Kind::List(self.list("]")?);
                Ok(Expr { kind, at: token.at.start..self.last })
            }
            lex::Kind::Mark("{") => {
                let help = "compare fields one by one; lists are written [a, b]";
                Err(Problem::new(token.at, "maps cannot be written", help))
            }
            _ => {
                self.last = token.at.start;
                self.next = Some(token);
                Err(self.unexpected("a value"))
            }
        }
    }

    fn named(&mut self, word: String, at: Range<usize>) -> Result<Expr, Problem> {
        if RESERVED.contains(&word.as_str()) {
            let help = "it is reserved in CEL; as a name in the payload write [\"...\"]";
            return Err(Problem::new(at, format!("`{word}` cannot be a name"), help));
        }
        if !self.takes("(") {
            return Ok(Expr { kind: Kind::Name(word), at });
        }
        let call = Call { target: None, name: word, name_at: at.clone(), arguments: self.list(")")? };
        Ok(Expr { kind: Kind::Call(call), at: at.start..self.last })
    }

    fn name(&mut self) -> Result<(String, Range<usize>), Problem> {
        match self.peek().kind.clone() {
            lex::Kind::Word(word) => {
                let at = self.take().at;
                Ok((word, at))
            }
            _ => Err(self.unexpected("a name; another one is written [\"...\"]")),
        }
    }

    /// Expressions up to the closing mark, which is taken.
    fn list(&mut self, close: &'static str) -> Result<Vec<Expr>, Problem> {
        let mut list = Vec::new();
        while !self.takes(close) {
            list.push(self.expr()?);
            if self.takes(close) {
                break;
            }
            self.expect(",")?;
        }
        Ok(list)
    }

    fn pair(
        &mut self,
        left: Expr,
        right: Expr,
        kind: impl FnOnce(Box<Expr>, Box<Expr>) -> Kind,
    ) -> Result<Expr, Problem> {
        let at = left.at.start..right.at.end;
        self.count(&at)?;
        Ok(Expr { kind: kind(Box::new(left), Box::new(right)), at })
    }

    fn count(&mut self, at: &Range<usize>) -> Result<(), Problem> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            let help = "split the rule; many texts are compared by `in [...]`";
            return Err(Problem::new(
                at.clone(),
                format!("more than {PARTS_MAX} operators, fields and calls"),
                help,
            ));
        }
        Ok(())
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth == DEPTH_MAX {
            let at = self.peek().at.clone();
            return Err(Problem::new(at, format!("nested more than {DEPTH_MAX} deep"), "split the rule"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&mut self) -> &Token {
        let end = Token { kind: lex::Kind::End, at: self.last..self.last };
        let tokens = &mut self.tokens;
        self.next.get_or_insert_with(|| tokens.next().unwrap_or(end))
    }

    fn take(&mut self) -> Token {
        self.peek();
        let end = Token { kind: lex::Kind::End, at: self.last..self.last };
        let token = self.next.take().unwrap_or(end);
        self.last = token.at.end;
        token
    }

    fn takes(&mut self, mark: &'static str) -> bool {
        let found = self.peek().kind == lex::Kind::Mark(mark);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, mark: &'static str) -> Result<(), Problem> {
        if self.takes(mark) { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }

    fn unexpected(&mut self, expected: &str) -> Problem {
        let token = self.peek();
        let found = match &token.kind {
            lex::Kind::End => "the end".to_owned(),
            lex::Kind::Word(word) => format!("`{word}`"),
            lex::Kind::Mark(mark) => format!("`{mark}`"),
            lex::Kind::Text(_) => "a string".to_owned(),
            lex::Kind::Int(_) | lex::Kind::Uint(_) | lex::Kind::Double(_) => "a number".to_owned(),
        };
        Problem::new(token.at.clone(), format!("found {found}"), format!("expected {expected}"))
    }
}

/// What CEL keeps for itself.
const RESERVED: [&str; 17] = [
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];
