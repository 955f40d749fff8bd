//! What a seed makes of a run.

use freehold_testkit::Rng;

use crate::wires::{Place, Weather};

/// How one run is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How many tenants each process has.
    pub(crate) tenants: Vec<usize>,
    /// The process whose operator lies.
    pub(crate) hostile: Option<Place>,
    /// How many rooms there are from the beginning.
    pub(crate) rooms: usize,
    /// How much is done.
    pub(crate) deeds: usize,
    /// How many of a hundred deeds are followed by a fault.
    pub(crate) faults_percent: usize,
    /// What the network does to requests.
    pub(crate) weather: Weather,
    /// Whether disks lose everything with a crash: never, but to see that the laws notice.
    pub(crate) are_disks_forgetful: bool,
}

impl Plan {
    /// What a seed makes of a run.
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let processes = match rng.below(10) {
            0..5 => 3,
            5..8 => 4,
            8 => 5 + rng.below(2),
            _ => 7 + rng.below(2),
        };
        let tenants: Vec<usize> = (0..processes).map(|_| [1, 1, 2, 3][rng.below(4)]).collect();
        let hostile = rng.chance(60).then_some(processes - 1);
        let weather = Weather {
            delay_ms: [50, 400, 3_000][rng.below(3)],
            repeated_percent: [0, 5, 20][rng.below(3)],
            lost_percent: [0, 2, 10][rng.below(3)],
        };
        Plan {
            tenants,
            hostile,
            rooms: 1 + rng.below(3),
            deeds: 30 + rng.below(40),
            faults_percent: [5, 15, 30][rng.below(3)],
            weather,
            are_disks_forgetful: false,
        }
    }
}
