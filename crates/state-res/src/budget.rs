//! How much work a resolution may do.

/// The most work that one resolution may do; exceeding any line is
/// [`ResolveError::OverBudget`](crate::ResolveError::OverBudget).
///
/// Strangers choose the shape of a room's event graph, so the work must have a bound that does not
/// depend on them. The defaults leave room for the largest public rooms (a few hundred thousand
/// members, all of them conflicted); a server that resolves on its event loop passes less.
///
/// ```
/// use freehold_state_res::ResolveBudget;
///
/// let frugal = ResolveBudget { events: 10_000, ..ResolveBudget::default() };
/// assert!(frugal.auth_edges > 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveBudget {
    /// Events read from the source, each counted once.
    pub events: u64,
    /// Links of `auth_events` followed, each counted once.
    pub auth_edges: u64,
    /// Events put into the power order or the mainline order.
    pub sort_steps: u64,
    /// Events checked against the authorisation rules.
    pub auth_checks: u64,
}

impl ResolveBudget {
    /// No bound at all, for tests and offline tools.
    pub const UNLIMITED: Self =
        Self { events: u64::MAX, auth_edges: u64::MAX, sort_steps: u64::MAX, auth_checks: u64::MAX };
}

impl Default for ResolveBudget {
    fn default() -> Self {
        // An event has at most 10 `auth_events` when it comes in over `/send`
        // (https://spec.matrix.org/v1.19/rooms/v12/#event-format).
        Self { events: 2_000_000, auth_edges: 20_000_000, sort_steps: 2_000_000, auth_checks: 2_000_000 }
    }
}

/// The line of a [`ResolveBudget`] that was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetLine {
    /// [`ResolveBudget::events`].
    Events,
    /// [`ResolveBudget::auth_edges`].
    AuthEdges,
    /// [`ResolveBudget::sort_steps`].
    SortSteps,
    /// [`ResolveBudget::auth_checks`].
    AuthChecks,
}

impl BudgetLine {
    /// What is counted, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events read",
            Self::AuthEdges => "auth_events links followed",
            Self::SortSteps => "events sorted",
            Self::AuthChecks => "authorisation checks",
        }
    }
}

/// What has been spent of a budget.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    budget: ResolveBudget,
    spent: ResolveBudget,
}

/// A line of the budget is used up; `allowed` is what it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overdrawn {
    pub(crate) line: BudgetLine,
    pub(crate) allowed: u64,
}

impl Meter {
    pub(crate) const fn new(budget: ResolveBudget) -> Self {
        Self { budget, spent: ResolveBudget { events: 0, auth_edges: 0, sort_steps: 0, auth_checks: 0 } }
    }

    /// What has been spent so far, line by line.
    pub(crate) const fn spent(&self) -> ResolveBudget {
        self.spent
    }

    pub(crate) fn spend(&mut self, line: BudgetLine, amount: usize) -> Result<(), Overdrawn> {
        let (spent, allowed) = match line {
            BudgetLine::Events => (&mut self.spent.events, self.budget.events),
            BudgetLine::AuthEdges => (&mut self.spent.auth_edges, self.budget.auth_edges),
            BudgetLine::SortSteps => (&mut self.spent.sort_steps, self.budget.sort_steps),
            BudgetLine::AuthChecks => (&mut self.spent.auth_checks, self.budget.auth_checks),
        };
        *spent = spent.saturating_add(amount as u64);
        if *spent > allowed { Err(Overdrawn { line, allowed }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_used_up_to_its_end_and_not_further() {
        let mut meter = Meter::new(ResolveBudget { auth_edges: 3, ..ResolveBudget::UNLIMITED });
        assert!(meter.spend(BudgetLine::AuthEdges, 3).is_ok());
        assert!(meter.spend(BudgetLine::Events, 1_000).is_ok());
        let over = meter.spend(BudgetLine::AuthEdges, 1).unwrap_err();
        assert_eq!((over.line, over.allowed), (BudgetLine::AuthEdges, 3));
        assert_eq!(meter.spent().auth_edges, 4);
    }
}
