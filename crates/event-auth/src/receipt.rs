//! What is checked when an event is received, in which order, and what a failure means.

/// A check that a received event passes through. The order of the variants is the order of the
/// [checks performed on receipt of a
/// PDU](https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptCheck {
    /// 1. "Is a valid event": it "must comply with the event format of that room version".
    Format,
    /// 2. "Passes signature checks".
    Signatures,
    /// 3. "Passes hash checks".
    ContentHash,
    /// 4. "Passes authorisation rules based on the event's auth events".
    AuthEvents,
    /// 5. "Passes authorisation rules based on the state before the event".
    StateBefore,
    /// 6. "Passes authorisation rules based on the current state of the room".
    CurrentState,
    /// 7. "Is validated by the Policy Server, if the room is using a Policy Server".
    PolicyServer,
}

impl ReceiptCheck {
    /// All checks, in their order.
    pub const ALL: [Self; 7] = [
        Self::Format,
        Self::Signatures,
        Self::ContentHash,
        Self::AuthEvents,
        Self::StateBefore,
        Self::CurrentState,
        Self::PolicyServer,
    ];

    /// What becomes of an event that does not pass the check.
    pub const fn consequence(self) -> Consequence {
        match self {
            Self::Format | Self::Signatures => Consequence::Drop,
            Self::ContentHash => Consequence::Redact,
            Self::AuthEvents | Self::StateBefore => Consequence::Reject,
            Self::CurrentState | Self::PolicyServer => Consequence::SoftFail,
        }
    }
}

/// What becomes of an event that fails a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    /// "It is dropped": it is as if the event had never come.
    Drop,
    /// "It is redacted before being processed further": the checks go on with the redacted event.
    Redact,
    /// "It is [rejected](https://spec.matrix.org/v1.19/server-server-api/#rejection)": it is not
    /// relayed to clients, not a previous event of new events, and leaves the state as it was.
    Reject,
    /// "It is ['soft
    /// failed'](https://spec.matrix.org/v1.19/server-server-api/#soft-failure)": it is not relayed
    /// to clients nor referenced by new events, but takes part in everything else.
    SoftFail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_in_the_order_of_the_specification_and_each_has_its_consequence() {
        let table: Vec<_> = ReceiptCheck::ALL.iter().map(|check| check.consequence()).collect();
        assert_eq!(
            table,
            [
                Consequence::Drop,
                Consequence::Drop,
                Consequence::Redact,
                Consequence::Reject,
                Consequence::Reject,
                Consequence::SoftFail,
                Consequence::SoftFail,
            ]
        );
        assert!(ReceiptCheck::ALL.is_sorted());
    }
}
