//! Metrics for Prometheus, with bounded labels: of tenants, the busiest by name and the rest together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use freehold_admin_api::MemoryUse;
use freehold_store::TenantNumber;
use freehold_tenancy::{Found, Tenancy};

use crate::memory::Memory;

/// Counts what happens. A clone counts together with the original.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(Area, Status), u64>,
    durations: BTreeMap<Area, Histogram>,
    tenants: Tenants,
}

/// Which part of the server a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Area {
    Sync,
    Media,
    Client,
    Published,
    Admin,
    Other,
}

/// How a request was answered: the hundreds of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Status(u16);

impl Area {
    fn of(path: &str) -> Self {
        const PREFIXES: [(&str, Area); 7] = [
            ("/_matrix/client/v3/sync", Area::Sync),
            ("/_matrix/media/", Area::Media),
            ("/_matrix/client/v1/media/", Area::Media),
            ("/_matrix/client/", Area::Client),
            ("/_matrix/key/", Area::Published),
            ("/.well-known/", Area::Published),
            ("/_freehold/", Area::Admin),
        ];
        PREFIXES.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(Area::Other, |(_, area)| *area)
    }

    fn label(self) -> &'static str {
        match self {
            Area::Sync => "sync",
            Area::Media => "media",
            Area::Client => "client",
            Area::Published => "published",
            Area::Admin => "admin",
            Area::Other => "other",
        }
    }
}

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, Default)]
struct Histogram {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        self.count += 1;
        self.sum += seconds;
        let bounds = BOUNDS.iter().zip(&mut self.buckets);
        bounds.filter(|(bound, _)| seconds <= **bound).for_each(|(_, bucket)| *bucket += 1);
    }
}

/// Requests by tenant. A tenant that was busy once keeps its label, so that no series ever falls.
#[derive(Debug, Default)]
struct Tenants {
    busy: BTreeMap<TenantNumber, u64>,
    /// How often others were seen lately, to find out who becomes busy.
    candidates: BTreeMap<TenantNumber, u64>,
    others: u64,
}

/// How many tenants have a label.
const BUSY_MAX: usize = 50;
/// With how many requests a tenant is busy.
const BUSY_FROM: u64 = 1000;
const CANDIDATES_MAX: usize = 1000;

impl Tenants {
    fn count(&mut self, tenant: TenantNumber) {
        if let Some(requests) = self.busy.get_mut(&tenant) {
            *requests += 1;
            return;
        }
        self.others += 1;
        if self.busy.len() >= BUSY_MAX {
            return;
        }
        if self.candidates.len() >= CANDIDATES_MAX {
            self.candidates.clear();
        }
        let seen = self.candidates.entry(tenant).or_default();
        *seen += 1;
        if *seen >= BUSY_FROM {
            self.candidates.remove(&tenant);
            self.busy.insert(tenant, 0);
        }
    }
}

impl Metrics {
    fn count(&self, area: Area, status: StatusCode, tenant: Option<TenantNumber>, seconds: f64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((area, Status(status.as_u16() / 100))).or_default() += 1;
        counts.durations.entry(area).or_default().observe(seconds);
        if let Some(tenant) = tenant {
            counts.tenants.count(tenant);
        }
    }

    /// Everything, in the text format of Prometheus.
    pub(crate) fn text(&self, tenancy: &Tenancy, memory: &Memory, partial_rooms: usize) -> String {
        let mut text = String::new();
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = counts.write(&mut text, tenancy);
        drop(counts);
        let _ = write_process(&mut text, tenancy);
        let _ = write_memory(&mut text, memory);
        let about = "Rooms of whose members only a few are known yet.";
        let _ = head(&mut text, "freehold_partial_rooms", "gauge", about);
        let _ = writeln!(text, "freehold_partial_rooms {partial_rooms}");
        text
    }
}

impl Counts {
    fn write(&self, text: &mut String, tenancy: &Tenancy) -> std::fmt::Result {
        head(text, "freehold_requests_total", "counter", "Requests by area and hundreds of the status.")?;
        for ((area, Status(hundreds)), count) in &self.requests {
            let area = area.label();
            writeln!(text, "freehold_requests_total{{area=\"{area}\",status=\"{hundreds}xx\"}} {count}")?;
        }
        head(
            text,
            "freehold_request_seconds",
            "histogram",
            "How long requests took; long polls are `sync`.",
        )?;
        for (area, histogram) in &self.durations {
            write_histogram(text, area.label(), histogram)?;
        }
        head(
            text,
            "freehold_tenant_requests_total",
            "counter",
            "Requests by tenant: the busy ones, and the rest.",
        )?;
        for (number, count) in &self.tenants.busy {
            let Some(found) = tenancy.by_number(*number) else { continue };
            let tenant = found.tenant.server_name();
            writeln!(text, "freehold_tenant_requests_total{{tenant=\"{tenant}\"}} {count}")?;
        }
        writeln!(text, "freehold_tenant_requests_total{{tenant=\"\"}} {}", self.tenants.others)
    }
}

fn write_histogram(text: &mut String, area: &str, histogram: &Histogram) -> std::fmt::Result {
    let name = "freehold_request_seconds";
    for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
        writeln!(text, "{name}_bucket{{area=\"{area}\",le=\"{bound}\"}} {count}")?;
    }
    writeln!(text, "{name}_bucket{{area=\"{area}\",le=\"+Inf\"}} {}", histogram.count)?;
    writeln!(text, "{name}_sum{{area=\"{area}\"}} {}", histogram.sum)?;
    writeln!(text, "{name}_count{{area=\"{area}\"}} {}", histogram.count)
}

fn write_process(text: &mut String, tenancy: &Tenancy) -> std::fmt::Result {
    head(text, "freehold_tenants", "gauge", "Tenants by state.")?;
    for (state, count) in tenancy.count_by_state() {
        writeln!(text, "freehold_tenants{{state=\"{state}\"}} {count}")?;
    }
    if let Some(bytes) = resident_bytes() {
        head(text, "process_resident_memory_bytes", "gauge", "Resident memory.")?;
        writeln!(text, "process_resident_memory_bytes {bytes}")?;
    }
    Ok(())
}

fn write_memory(text: &mut String, memory: &Memory) -> std::fmt::Result {
    let uses = memory.uses();
    head(text, "freehold_memory_bytes", "gauge", "What each part holds of the memory for caches.")?;
    for MemoryUse { subsystem, held, .. } in &uses {
        writeln!(text, "freehold_memory_bytes{{subsystem=\"{subsystem}\"}} {held}")?;
    }
    head(text, "freehold_memory_bound_bytes", "gauge", "How much of it each part may hold.")?;
    for MemoryUse { subsystem, most, .. } in &uses {
        if let Some(most) = most {
            writeln!(text, "freehold_memory_bound_bytes{{subsystem=\"{subsystem}\"}} {most}")?;
        }
    }
    head(text, "freehold_memory_budget_bytes", "gauge", "How much memory all caches together may hold.")?;
    writeln!(text, "freehold_memory_budget_bytes {}", memory.budget)
}

fn head(text: &mut String, name: &str, kind: &str, about: &str) -> std::fmt::Result {
    writeln!(text, "# HELP {name} {about}\n# TYPE {name} {kind}")
}

/// Resident memory, where the system tells it.
pub(crate) fn resident_bytes() -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the program looks at itself")]
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Counts a request.
pub(crate) async fn measure(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let area = Area::of(request.uri().path());
    #[expect(clippy::disallowed_methods, reason = "this is where time is measured")]
    let start = Instant::now();
    let response = next.run(request).await;
    let tenant = response.extensions().get::<Found>().map(|found| found.tenant.number());
    metrics.count(area, response.status(), tenant, start.elapsed().as_secs_f64());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_no_count_is_lost() {
        let mut tenants = Tenants::default();
        for round in 0..BUSY_FROM + 10 {
            for number in 0..200 {
                tenants.count(TenantNumber(number));
            }
            let counted: u64 = tenants.busy.values().sum::<u64>() + tenants.others;
            assert_eq!(counted, (round + 1) * 200);
        }
        assert_eq!(tenants.busy.len(), BUSY_MAX);
        assert!(tenants.candidates.len() <= CANDIDATES_MAX);
    }

    #[test]
    fn a_duration_is_in_every_bucket_above_it() {
        let mut histogram = Histogram::default();
        histogram.observe(0.02);
        histogram.observe(100.0);
        assert_eq!(histogram.buckets, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(histogram.count, 2);
    }
}
