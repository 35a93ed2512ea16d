//! What rules have done, read from them at each scrape.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;

/// Series of what became of configuration files that changed.
#[derive(Clone, Debug, Default)]
pub struct ReloadSeries {
    reloads: Family<Labels<1>, Counter>,
    is_stale: Gauge,
}

impl ReloadSeries {
    /// The rules were replaced.
    pub fn applied(&self) {
        self.reloads.get_or_create(&[("result", "applied")]).inc();
    }

    /// What is written was not taken up.
    pub fn refused(&self) {
        self.reloads.get_or_create(&[("result", "refused")]).inc();
        self.is_stale.set(1);
    }

    /// What is written is in use.
    pub fn in_use(&self) {
        self.is_stale.set(0);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for result in ["applied", "refused"] {
            drop(self.reloads.get_or_create(&[("result", result)]));
        }
        registry.register(
            "config_reloads",
            "Times the configuration file had changed, by whether it was taken up",
            self.reloads.clone(),
        );
        registry.register(
            "config_stale",
            "1 while the configuration file is not what is in use",
            self.is_stale.clone(),
        );
    }
}

/// One rule and what it has done since the start.
#[derive(Clone, Debug)]
pub struct RuleCounts {
    /// The route that it belongs to.
    pub route: String,
    /// Its kind.
    pub operator: &'static str,
    /// Its name among those of its kind in the route.
    pub rule: String,
    /// It only counts what it would have done.
    pub is_shadow: bool,
    /// Events that went on.
    pub kept: u64,
    /// Events that did not, or would not have.
    pub dropped: u64,
    /// Events that went on otherwise than they came.
    pub changed: u64,
    /// Events for which it had no answer; they are among the others too.
    pub faults: u64,
    /// Events for which its time was taken.
    pub timed: u64,
    /// How long those took, in ns.
    pub timed_ns: u64,
}

/// Registers the series of rules; `read` is asked at each scrape.
pub fn register(registry: &mut Registry, read: impl Fn() -> Vec<RuleCounts> + Send + Sync + 'static) {
    registry.register_collector(Box::new(RuleCollector(Box::new(read))));
}

struct RuleCollector(Box<dyn Fn() -> Vec<RuleCounts> + Send + Sync>);

impl fmt::Debug for RuleCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RuleCollector")
    }
}

impl Collector for RuleCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let rules = (self.0)();
        if rules.is_empty() {
            return Ok(());
        }
        let help = "Events that came to a rule, by what it did with them";
        let mut metric = encoder.encode_descriptor("rule_events", help, None, MetricType::Counter)?;
        for rule in &rules {
            let dropped = if rule.is_shadow { "would_drop" } else { "dropped" };
            counter(&mut metric, rule, &[("result", "kept")], rule.kept)?;
            counter(&mut metric, rule, &[("result", dropped)], rule.dropped)?;
            if rule.changed > 0 {
                let changed = if rule.is_shadow { "would_change" } else { "changed" };
                counter(&mut metric, rule, &[("result", changed)], rule.changed)?;
            }
        }
        let help = "Events for which a rule had no answer, as a field was absent or of another type";
        let mut metric = encoder.encode_descriptor("rule_faults", help, None, MetricType::Counter)?;
        for rule in &rules {
            counter(&mut metric, rule, &[], rule.faults)?;
        }
        let help = "Events for which a rule's time was taken: those of one frame in so many";
        let mut metric = encoder.encode_descriptor("rule_sampled_events", help, None, MetricType::Counter)?;
        for rule in &rules {
            counter(&mut metric, rule, &[], rule.timed)?;
        }
        let help = "How long a rule took for the events for which its time was taken";
        let mut metric =
            encoder.encode_descriptor("rule_sampled_seconds", help, None, MetricType::Counter)?;
        for rule in &rules {
            let seconds = Duration::from_nanos(rule.timed_ns).as_secs_f64();
            let counter = ConstCounter::new(seconds);
            counter.encode(metric.encode_family(&labels(rule))?)?;
        }
        Ok(())
    }
}

fn counter(
    metric: &mut MetricEncoder<'_>,
    rule: &RuleCounts,
    more: &[(&str, &str)],
    count: u64,
) -> Result<(), fmt::Error> {
    let mut labels = labels(rule).to_vec();
    labels.extend(more);
    let counter = ConstCounter::new(count);
    counter.encode(metric.encode_family(&labels)?)
}

fn labels(rule: &RuleCounts) -> [(&str, &str); 3] {
    [("route", &rule.route), ("operator", rule.operator), ("rule", &rule.rule)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_counted_by_route_name_and_result() {
        let mut registry = Registry::with_prefix("tidegate");
        let rule = |rule: &str, is_shadow| RuleCounts {
            route: "sensors".to_owned(),
            operator: "filter",
            rule: rule.to_owned(),
            is_shadow,
            kept: 3,
            dropped: 2,
            changed: 0,
            faults: 1,
            timed: 4,
            timed_ns: 500_000_000,
        };
        register(&mut registry, move || vec![rule("hot", false), rule("new", true)]);
        let text = super::super::text(&registry).unwrap();
        for line in [
            r#"tidegate_rule_events_total{route="sensors",operator="filter",rule="hot",result="kept"} 3"#,
            r#"tidegate_rule_events_total{route="sensors",operator="filter",rule="hot",result="dropped"} 2"#,
            r#"tidegate_rule_events_total{route="sensors",operator="filter",rule="new",result="would_drop"} 2"#,
            r#"tidegate_rule_faults_total{route="sensors",operator="filter",rule="new"} 1"#,
            r#"tidegate_rule_sampled_seconds_total{route="sensors",operator="filter",rule="new"} 0.5"#,
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
    }
}
