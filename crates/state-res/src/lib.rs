//! State resolution v1, v2.0 and v2.1 over a caller's events, with an explanation.
