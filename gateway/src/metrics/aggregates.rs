//! Windows in which events wait to become one record with others.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Series of rules that make one record of many events.
#[derive(Clone, Debug, Default)]
pub struct AggregateSeries {
    closed: Family<[(&'static str, String); 2], Counter>,
    groups: Gauge,
    events: Gauge,
}

impl AggregateSeries {
    /// Says that a route has such a rule, so that its series are there from the start.
    pub fn begin(&self, route: &str, whys: impl IntoIterator<Item = &'static str>) {
        for why in whys {
            let labels = [("route", route.to_owned()), ("closed", why.to_owned())];
            drop(self.closed.get_or_create(&labels));
        }
    }

    /// Counts a group of that route that becomes a record, and why it does now.
    pub fn closed(&self, route: &str, why: &'static str) {
        let labels = [("route", route.to_owned()), ("closed", why.to_owned())];
        self.closed.get_or_create(&labels).inc();
    }

    /// How often [`AggregateSeries::closed`] has counted this.
    pub fn times(&self, route: &str, why: &'static str) -> u64 {
        let labels = [("route", route.to_owned()), ("closed", why.to_owned())];
        self.closed.get(&labels).map_or(0, |count| count.get())
    }

    /// Says how many groups are open, and how many events are in them.
    pub fn open(&self, groups: usize, events: usize) {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.groups.set(signed(groups));
        self.events.set(signed(events));
    }

    /// What [`AggregateSeries::open`] has said last: groups, and events in them.
    #[cfg(test)]
    pub(crate) fn now_open(&self) -> (i64, i64) {
        (self.groups.get(), self.events.get())
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "aggregates",
            "Groups of events that became a record, by why they did then",
            self.closed.clone(),
        );
        registry.register("aggregate_groups", "Groups of events in open windows", self.groups.clone());
        registry.register("aggregate_events", "Events that wait in open windows", self.events.clone());
    }
}
