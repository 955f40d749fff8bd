//! Generations, for sources that do not keep them.

use std::collections::BTreeMap;

use freehold_event::EventSource;

use crate::{ResolveBudget, ResolveError, error::Failure, graph::Graph};

/// The generation of an event, from those of its `auth_events`: one more than the greatest, or 0
/// without any.
///
/// A server that keeps the generation beside each event it accepts has it for this price, and
/// resolutions that walk no further than they must.
///
/// ```
/// use freehold_state_res::generation_above;
///
/// assert_eq!(generation_above([]), 0);
/// assert_eq!(generation_above([0, 4, 2]), 5);
/// ```
pub fn generation_above(auth_events: impl IntoIterator<Item = u64>) -> u64 {
    auth_events.into_iter().max().map_or(0, |greatest| greatest.saturating_add(1))
}

/// The generations of some events, computed over their auth chains; those that the source knows are
/// taken from it.
///
/// # Errors
///
/// [`ResolveError::MissingEvents`], [`ResolveError::AuthCycle`], [`ResolveError::OverBudget`], and
/// [`ResolveError::WrongEvent`].
pub fn generations<'e, S: EventSource>(
    source: &S,
    events: impl IntoIterator<Item = &'e S::Id>,
    budget: &ResolveBudget,
) -> Result<BTreeMap<S::Id, u64>, ResolveError<S::Id>>
where
    S::Id: 'e,
{
    generations_in(Graph::new(source, budget), events).map_err(|failure| *failure)
}

fn generations_in<'e, S: EventSource>(
    mut graph: Graph<'_, S>,
    events: impl IntoIterator<Item = &'e S::Id>,
) -> Result<BTreeMap<S::Id, u64>, Failure<S::Id>>
where
    S::Id: 'e,
{
    let mut generations = BTreeMap::new();
    for id in events {
        let node = graph.enter(id)?;
        generations.insert(id.clone(), graph.generation(node)?);
    }
    graph.complete()?;
    Ok(generations)
}
