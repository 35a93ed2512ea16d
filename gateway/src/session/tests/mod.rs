//! Sessions over links in memory, with a destination that settles when a test says so and time that does not pass.

mod aggregates;
mod credit;
mod drain;
mod gateway;
mod numbers;
mod post;
mod rates;
mod refusals;
mod rules;
mod schemas;

use gateway::{Client, Gateway};
