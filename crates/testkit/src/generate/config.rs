//! What kind of room to make.

use freehold_event::RoomVersion;

use crate::seal::Sealing;

/// What kind of room [`generate`](super::generate) makes.
#[derive(Clone, Debug)]
pub struct GenerateConfig {
    /// The room version; any one, chosen by the seed, when `None`.
    pub version: Option<&'static RoomVersion>,
    /// How many servers are in the room; no more than there are users.
    pub servers: usize,
    /// How many users the servers have together.
    pub users: usize,
    /// How many events to make at least; the recipe that reaches the number is finished.
    pub events: usize,
    /// How many states to resolve at the end, at least two.
    pub forks: usize,
    /// What the users do; everything when empty.
    pub recipes: Vec<Recipe>,
    /// Whether to hash and sign.
    pub sealing: Sealing,
    /// What the servers do not have in common at the end, besides the forks.
    pub trouble: Trouble,
}

/// What else is wrong with a generated room at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// Some message events never arrived: others follow them, but they are not there. Everything
    /// that authorisation and resolution need is.
    MissingMessages,
    /// The first fork's state holds an event that was rejected here and not by the server whose
    /// state that is: "rejection state of an event may be different".
    DisputedRejection,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self {
            version: None,
            servers: 3,
            users: 6,
            events: 45,
            forks: 3,
            recipes: Vec::new(),
            sealing: Sealing::Plain,
            trouble: Trouble::None,
        }
    }
}

impl GenerateConfig {
    /// The default with the [`Trouble`] that belongs to a seed: mostly none.
    pub fn with_trouble_of(seed: u64) -> Self {
        let trouble = match seed % 8 {
            3 => Trouble::MissingMessages,
            7 => Trouble::DisputedRejection,
            _ => Trouble::None,
        };
        Self { trouble, ..Self::default() }
    }
}

/// Something that users do to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Messages, topics, names, state of one's own.
    Traffic,
    /// One change of the power levels.
    PowerChange,
    /// Two people with power change the power levels at the same time.
    PowerStruggle,
    /// Two servers demote each other's people, blow by blow.
    DemotionWar,
    /// A long chain of power levels against a single change.
    PowerChain,
    /// A ban races with what the banned user does.
    BanRace,
    /// A kick, and the user comes back.
    KickRejoin,
    /// People join, leave, and change their profile.
    Membership,
    /// The join rule changes while people join.
    JoinRuleFlip,
    /// Somebody joins a restricted room, vouched for by a member.
    RestrictedJoin,
    /// An invitation by e-mail address, and its acceptance.
    ThirdPartyInvite,
    /// Invitations and knocks.
    Invitation,
    /// Creators, additional ones included, use or exceed their privilege.
    Creators,
    /// Several events with one and the same timestamp.
    EqualTimestamps,
    /// An event that continues an old part of the graph.
    StaleBranch,
    /// An event with auth events from an older state.
    StaleAuth,
    /// An event that is rejected, and one that follows it.
    Rejected,
    /// Unconflicted state takes the rights from who sent the conflicted (MSC4297, problem A).
    ProblemA,
    /// State hangs on events that the auth difference does not show (MSC4297, problem B).
    ProblemB,
}

impl Recipe {
    /// Every recipe.
    pub const ALL: &'static [Self] = &[
        Self::Traffic,
        Self::PowerChange,
        Self::PowerStruggle,
        Self::DemotionWar,
        Self::PowerChain,
        Self::BanRace,
        Self::KickRejoin,
        Self::Membership,
        Self::JoinRuleFlip,
        Self::RestrictedJoin,
        Self::ThirdPartyInvite,
        Self::Invitation,
        Self::Creators,
        Self::EqualTimestamps,
        Self::StaleBranch,
        Self::StaleAuth,
        Self::Rejected,
        Self::ProblemA,
        Self::ProblemB,
    ];

    /// The name, for command lines: `power-struggle`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// The recipe with the given name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|recipe| recipe.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_found_by_name() {
        assert_eq!(Recipe::find("power-struggle"), Some(Recipe::PowerStruggle));
        assert!(Recipe::ALL.iter().all(|recipe| Recipe::find(&recipe.name()) == Some(*recipe)));
        assert_eq!(Recipe::find("tea"), None);
    }
}
