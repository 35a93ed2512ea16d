//! An [`Expr`] to a [`Program`]: names resolved, types checked, fields given their places.

mod call;
mod path;

pub(crate) use call::regex;

use crate::ast::{Arithmetic, Expr, Kind, Literal};
use crate::compare::Relation;
use crate::parse::parse;
use crate::plan::{Place, Plan};
use crate::problem::Problem;
use crate::program::{At, Constant, Op, Program, Set, Span};
use crate::types::Type;

/// The most operations that a rule may take for one event.
const COST_MAX: u64 = 50_000;
/// The most operations of a program.
const OPS_MAX: usize = 4_096;

/// Compiles the expressions that are asked of the same events, so that one pass finds the fields of all.
#[derive(Debug, Default)]
pub struct Compiler {
    plan: Plan,
    attributes: Vec<String>,
    looks_at_payload: bool,
}

impl Compiler {
    /// Compiles an expression that gives a value.
    pub fn value(&mut self, text: &str) -> Result<Program, Problem> {
        self.compile(text).map(|(program, _)| program)
    }

    /// Compiles an expression that says yes or no.
    pub fn condition(&mut self, text: &str) -> Result<Program, Problem> {
        let (program, kind) = self.compile(text)?;
        if kind.may_be(&[Type::Bool]) {
            return Ok(program);
        }
        let help = "compare it with something, as in `a == b`";
        Err(Problem::new(
            0..text.len(),
            format!("the rule is a {}, but must be true or false", kind.name()),
            help,
        ))
    }

    /// Compiles an expression that gives a number, as far as can be known before there is an event.
    pub fn number(&mut self, text: &str) -> Result<Program, Problem> {
        let (program, kind) = self.compile(text)?;
        if kind.may_be(&[Type::Int, Type::Uint, Type::Double]) {
            return Ok(program);
        }
        let help = "name a field, as in `data.celsius`, or compute with some";
        Err(Problem::new(0..text.len(), format!("this is a {}, but must be a number", kind.name()), help))
    }

    /// Whether any of them looks into the payload.
    pub fn looks_at_payload(&self) -> bool {
        self.looks_at_payload
    }

    /// The fields that all of them look at.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The attributes that all of them ask for, in the order in which [`crate::Attributes::get`] is to know them.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    fn compile(&mut self, text: &str) -> Result<(Program, Type), Problem> {
        let expr = parse(text)?;
        let mut builder =
            Builder { compiler: self, ops: Vec::new(), bound: Vec::new(), cost: 0, looks_at_payload: false };
        let Typed { at, kind, .. } = builder.expr(&expr)?;
        let Builder { ops, cost, looks_at_payload, .. } = builder;
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.looks_at_payload |= looks_at_payload;
        Ok((Program { ops, last: at, cost, looks_at_payload }, kind))
    }
}

/// An operation that was emitted.
#[derive(Clone, Copy, Debug)]
struct Typed {
    at: At,
    kind: Type,
}

/// What a name stands for within `exists` and `all`.
#[derive(Clone, Debug)]
enum Bound {
    Element(Place),
    Literal(Literal),
}

struct Builder<'c> {
    compiler: &'c mut Compiler,
    ops: Vec<Op>,
    bound: Vec<(String, Bound)>,
    cost: u64,
    looks_at_payload: bool,
}

impl Builder<'_> {
    fn expr(&mut self, expr: &Expr) -> Result<Typed, Problem> {
        let at = &expr.at;
        match &expr.kind {
            Kind::Literal(literal) => self.literal(literal, at),
            Kind::Name(_) | Kind::Field(..) | Kind::Index(..) => self.path(expr),
            Kind::Call(call) => self.call(call, at),
            Kind::Not(of) => {
                let of = self.operand(of, "`!`", &[Type::Bool])?;
                self.emit(Op::Not(of.at), Type::Bool, at)
            }
            Kind::Negative(of) => {
                let of = self.operand(of, "`-`", &[Type::Int, Type::Double])?;
                self.emit(Op::Negative(of.at), of.kind, at)
            }
            Kind::Or(left, right) => {
                let (left, right) = (self.operand(left, "`||`", BOOL)?, self.operand(right, "`||`", BOOL)?);
                self.emit(Op::Or(left.at, right.at), Type::Bool, at)
            }
            Kind::And(left, right) => {
                let (left, right) = (self.operand(left, "`&&`", BOOL)?, self.operand(right, "`&&`", BOOL)?);
                self.emit(Op::And(left.at, right.at), Type::Bool, at)
            }
            Kind::Relation(relation, left, right) => self.relation(*relation, left, right, at),
            Kind::In(of, list) => self.within(of, list, at),
            Kind::Arithmetic(operator, left, right) => self.arithmetic(*operator, left, right, at),
            Kind::Choice(parts) => self.choice(parts, at),
            Kind::List(_) => Err(Problem::new(
                at.clone(),
                "a list stands here",
                "lists are for `x in [..]` and `[..].exists(x, ..)`",
            )),
        }
    }

    fn literal(&mut self, literal: &Literal, at: &Span) -> Result<Typed, Problem> {
        let (constant, kind) = constant(literal);
        self.emit(Op::Constant(constant), kind, at)
    }

    fn relation(
        &mut self,
        relation: Relation,
        left: &Expr,
        right: &Expr,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        let is_ordered = relation.is_equality() || !(a.kind == Type::Null || b.kind == Type::Null);
        if !a.kind.compares_with(b.kind) || !is_ordered {
            let help = match (a.kind, b.kind) {
                (Type::Moment, Type::Text) | (Type::Text, Type::Moment) => "write timestamp(\"...\")",
                (Type::Duration, Type::Text) | (Type::Text, Type::Duration) => "write duration(\"...\")",
                _ => "compare values of one type",
            };
            let message = format!("{} {} {} is never true", a.kind.name(), relation.mark(), b.kind.name());
            return Err(Problem::new(at.clone(), message, help));
        }
        let fused = match (self.op(a), self.op(b)) {
            (Some(Op::Field(place)), Some(Op::Constant(constant))) => {
                Some(Op::RelateField(relation, *place, constant.clone()))
            }
            (Some(Op::Constant(constant)), Some(Op::Field(place))) => {
                Some(Op::RelateField(relation.mirrored(), *place, constant.clone()))
            }
            _ => None,
        };
        self.emit(fused.unwrap_or(Op::Relate(relation, a.at, b.at)), Type::Bool, at)
    }

    /// `of in list`
    fn within(&mut self, of: &Expr, list: &Expr, at: &Span) -> Result<Typed, Problem> {
        let Kind::List(items) = &list.kind else {
            let of = self.expr(of)?;
            let list = self.expr(list)?;
            if list.kind == Type::Any {
                return self.weighed(Op::In(of.at, list.at), Type::Bool, 64, at);
            }
            let help =
                "write `x in [a, b]`, or a field that is a list; for a part of a text write text.contains(x)";
            return Err(Problem::new(at.clone(), format!("`in` a {}", list.kind.name()), help));
        };
        let value = self.expr(of)?;
        let mut set = Set::default();
        for item in items {
            let Kind::Literal(literal) = &item.kind else {
                return self.any_of(items.iter().map(|item| (of, item)), at);
            };
            let (constant, kind) = constant(literal);
            if !value.kind.compares_with(kind) {
                let message =
                    format!("a {} is never among values that are {}", value.kind.name(), kind.name());
                return Err(Problem::new(item.at.clone(), message, "list values of its type"));
            }
            match constant {
                Constant::Text(text) => drop(set.texts.insert(text)),
                other => set.others.push(other),
            }
        }
        self.cost += set.others.len() as u64;
        self.emit(Op::Among(value.at, Box::new(set)), Type::Bool, at)
    }

    /// Whether the two of any pair are equal.
    fn any_of<'e>(
        &mut self,
        pairs: impl Iterator<Item = (&'e Expr, &'e Expr)>,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let mut any = self.literal(&Literal::Bool(false), at)?;
        for (left, right) in pairs {
            let equal = self.relation(Relation::Equal, left, right, at)?;
            any = self.emit(Op::Or(any.at, equal.at), Type::Bool, at)?;
        }
        Ok(any)
    }

    fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expr,
        right: &Expr,
        at: &Span,
    ) -> Result<Typed, Problem> {
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        let kind = arithmetic_type(operator, a.kind, b.kind).ok_or_else(|| {
            let message = format!("{} {} {}", a.kind.name(), operator.mark(), b.kind.name());
            let help = match a.kind == Type::Text || b.kind == Type::Text {
                true => "texts are not joined in rules; compare their parts",
                false => "compute with numbers, or with timestamps and durations",
            };
            Problem::new(at.clone(), message, help)
        })?;
        let op = match operator {
            Arithmetic::Add => Op::Add(a.at, b.at),
            Arithmetic::Subtract => Op::Subtract(a.at, b.at),
            Arithmetic::Multiply => Op::Multiply(a.at, b.at),
            Arithmetic::Divide => Op::Divide(a.at, b.at),
            Arithmetic::Remainder => Op::Remainder(a.at, b.at),
        };
        self.emit(op, kind, at)
    }

    fn choice(&mut self, parts: &[Expr; 3], at: &Span) -> Result<Typed, Problem> {
        let [when, then, otherwise] = parts;
        let when = self.operand(when, "what is before `?`", BOOL)?;
        let (then, otherwise) = (self.expr(then)?, self.expr(otherwise)?);
        let kind = match (then.kind, otherwise.kind) {
            (Type::Any, _) | (_, Type::Any) => Type::Any,
            (a, b) if a == b => a,
            (a, b) => {
                let message = format!("a {} or a {}", a.name(), b.name());
                return Err(Problem::new(at.clone(), message, "give both values of `? :` one type"));
            }
        };
        self.emit(Op::Choice(when.at, then.at, otherwise.at), kind, at)
    }

    /// An operand that may be one of `types`.
    fn operand(&mut self, expr: &Expr, of: &str, types: &[Type]) -> Result<Typed, Problem> {
        let operand = self.expr(expr)?;
        if operand.kind.may_be(types) {
            return Ok(operand);
        }
        let names: Vec<_> = types.iter().map(|kind| kind.name()).collect();
        let message = format!("{of} is for {}, not {}", names.join(" or "), operand.kind.name());
        let help = if types == BOOL { "compare it with something, as in `a == b`" } else { "give it that" };
        Err(Problem::new(expr.at.clone(), message, help))
    }

    fn op(&self, typed: Typed) -> Option<&Op> {
        self.ops.get(usize::from(typed.at.0))
    }

    fn emit(&mut self, op: Op, kind: Type, at: &Span) -> Result<Typed, Problem> {
        self.weighed(op, kind, 1, at)
    }

    fn weighed(&mut self, op: Op, kind: Type, cost: u64, at: &Span) -> Result<Typed, Problem> {
        let position = u16::try_from(self.ops.len()).ok().filter(|position| usize::from(*position) < OPS_MAX);
        let position = position.ok_or_else(|| {
            Problem::new(at.clone(), format!("more than {OPS_MAX} operations"), "split the rule")
        })?;
        self.ops.push(op);
        self.spend(cost, at)?;
        Ok(Typed { at: At(position), kind })
    }

    fn spend(&mut self, cost: u64, at: &Span) -> Result<(), Problem> {
        self.cost += cost;
        if self.cost <= COST_MAX {
            return Ok(());
        }
        let help = format!("the limit is {COST_MAX}; `exists` and `all` count 256 times what they ask");
        Err(Problem::new(at.clone(), format!("an event could take {} operations", self.cost), help))
    }
}

const BOOL: &[Type] = &[Type::Bool];

fn constant(literal: &Literal) -> (Constant, Type) {
    match literal {
        Literal::Null => (Constant::Null, Type::Null),
        Literal::Bool(value) => (Constant::Bool(*value), Type::Bool),
        Literal::Int(value) => (Constant::Int(*value), Type::Int),
        Literal::Uint(value) => (Constant::Uint(*value), Type::Uint),
        Literal::Double(value) => (Constant::Double(*value), Type::Double),
        Literal::Text(text) => (Constant::Text(text.as_str().into()), Type::Text),
    }
}

fn arithmetic_type(operator: Arithmetic, left: Type, right: Type) -> Option<Type> {
    let is_sum = matches!(operator, Arithmetic::Add | Arithmetic::Subtract);
    let computes = |kind: Type| {
        kind == Type::Any || kind.is_number() || is_sum && matches!(kind, Type::Moment | Type::Duration)
    };
    if !computes(left) || !computes(right) {
        return None;
    }
    match (left, right) {
        (_, Type::Double) | (Type::Double, _) if operator == Arithmetic::Remainder => None,
        (Type::Any, _) | (_, Type::Any) => Some(Type::Any),
        (Type::Moment, Type::Moment) if operator == Arithmetic::Subtract => Some(Type::Duration),
        (Type::Moment, Type::Duration) => Some(Type::Moment),
        (Type::Duration, Type::Moment) if operator == Arithmetic::Add => Some(Type::Moment),
        (Type::Duration, Type::Duration) => Some(Type::Duration),
        (left, right) if !left.is_number() || !right.is_number() => None,
        (left, right) if left == right => Some(left),
        (Type::Double, _) | (_, Type::Double) => Some(Type::Double),
        _ => Some(Type::Any),
    }
}
