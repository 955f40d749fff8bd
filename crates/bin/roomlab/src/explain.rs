//! `roomlab explain`.

use freehold_event_auth::Denial;

/// A denial in words.
pub(crate) fn denial(denial: &Denial) -> String {
    match &denial.against {
        None => denial.to_string(),
        Some(event_id) => format!("{denial}, held against {event_id}"),
    }
}
