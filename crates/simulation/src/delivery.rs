//! Messages from device to device: none is lost, none comes twice, and none that nobody sent.

use std::collections::BTreeMap;

use crate::devices::Lying;
use crate::laws::Violation;

/// A message from the device of one user to that of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whisper {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) text: String,
    /// Whether its sender was told that it is on its way.
    pub(crate) is_acknowledged: bool,
}

/// How many cases are shown.
const SHOWN: usize = 4;

/// What lies at the devices of honest users is what was sent to them: once, if that was acknowledged; once or not at all
/// otherwise. What users of an operator who lies send, or do not, is their own affair.
pub(crate) fn delivery(whispers: &[Whisper], lying: &BTreeMap<String, Vec<Lying>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut found = |found: String| violations.push(Violation { law: "delivery", found });
    for whisper in whispers {
        let Whisper { from, to, text, is_acknowledged } = whisper;
        let (Some(messages), true) = (lying.get(to), lying.contains_key(from)) else { continue };
        let count = messages.iter().filter(|message| message.text == *text).count();
        if count > 1 {
            found(format!("{text} of {from} came {count} times to {to}"));
        }
        if count == 0 && *is_acknowledged {
            found(format!("{text} of {from} never came to {to}"));
        }
    }
    for (to, messages) in lying {
        for Lying { sender, text } in messages.iter().filter(|message| lying.contains_key(&message.sender)) {
            let is_this = |w: &&Whisper| w.text == *text && w.from == *sender && w.to == *to;
            if !whispers.iter().any(|whisper| is_this(&whisper)) {
                found(format!("{text} lies at {to} in the name of {sender}, who never sent it"));
            }
        }
    }
    violations.truncate(SHOWN);
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "@ann:one.example";
    const BEN: &str = "@ben:two.example";
    const EVE: &str = "@eve:three.example";

    fn whisper(from: &str, is_acknowledged: bool) -> Whisper {
        Whisper { from: from.to_owned(), to: BEN.to_owned(), text: "psst".to_owned(), is_acknowledged }
    }

    /// With this many messages of somebody at Ben's device.
    fn found(whispers: &[Whisper], (sender, count): (&str, usize)) -> usize {
        let message = Lying { sender: sender.to_owned(), text: "psst".to_owned() };
        let lying = [(ANN.to_owned(), Vec::new()), (BEN.to_owned(), vec![message; count])];
        delivery(whispers, &BTreeMap::from(lying)).len()
    }

    #[test]
    fn what_was_acknowledged_comes_once_and_what_was_not_once_or_never() {
        for (is_acknowledged, count, expected) in
            [(true, 0, 1), (true, 1, 0), (true, 2, 1), (false, 0, 0), (false, 1, 0), (false, 2, 1)]
        {
            let whispers = [whisper(ANN, is_acknowledged)];
            assert_eq!(found(&whispers, (ANN, count)), expected, "{is_acknowledged} {count}");
        }
    }

    #[test]
    fn what_nobody_sent_is_found_unless_its_sender_lies() {
        assert_eq!(found(&[], (ANN, 1)), 1);
        assert_eq!(found(&[], (EVE, 1)), 0);
        assert_eq!(found(&[whisper(EVE, true)], (EVE, 0)), 0);
    }
}
