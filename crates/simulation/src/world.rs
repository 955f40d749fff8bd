//! Processes on a network: they start, die, and start again with what was durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use freehold_federation::fake::{Handler, RuntimeClock};
use freehold_store::MemoryEngine;
use freehold_testkit::Rng;
use ruma_common::{OwnedRoomId, OwnedUserId, ServerName, UserId};

use crate::devices::Lying;
use crate::hosted::Hosted;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::process::{Process, Setting};
use crate::trace::Trace;
use crate::wires::{Place, Wires};

/// Where all clocks begin, in milliseconds since the Unix epoch.
const START_TS: i64 = 1_800_000_000_000;

/// How many pages somebody looks back.
const PAGES_BACK: usize = 4;

/// The names of the users of every tenant.
const PEOPLE: [&str; 2] = ["ann", "ben"];

/// All processes and what is between them.
pub(crate) struct World {
    pub(crate) trace: Trace,
    pub(crate) ledger: Ledger,
    pub(crate) wires: Wires,
    settings: Vec<Setting>,
    running: Mutex<Running>,
    /// The process whose operator lies.
    pub(crate) hostile: Option<Place>,
    /// What answers in the place of that process.
    disguise: OnceLock<Disguise>,
}

/// What answers in the place of a process, if something does.
pub(crate) type Disguise = Box<dyn Fn(&Arc<Process>) -> Option<Handler> + Send + Sync>;

struct Running {
    rng: Rng,
    processes: Vec<Option<Arc<Process>>>,
    /// What is durable of each process.
    disks: Vec<Arc<MemoryEngine>>,
    /// Whether disks lose everything with a crash.
    are_forgetful: bool,
}

impl World {
    /// All processes start.
    pub(crate) async fn begin(plan: &Plan, mut rng: Rng, trace: Trace) -> Arc<Self> {
        let ledger = Ledger::default();
        let wires = Wires::new(rng.fork("wires"), trace.clone(), ledger.clone());
        let settings: Vec<Setting> =
            plan.tenants.iter().enumerate().map(|(place, count)| setting(place, *count, &mut rng)).collect();
        let settings = with_notaries(settings, plan.hostile);
        let processes = settings.iter().map(|_| None).collect();
        let disks = settings.iter().map(|_| Arc::new(MemoryEngine::new())).collect();
        let are_forgetful = plan.are_disks_forgetful;
        let running = Mutex::new(Running { rng: rng.fork("running"), processes, disks, are_forgetful });
        let world = Arc::new(World {
            trace,
            ledger,
            wires,
            settings,
            running,
            hostile: plan.hostile,
            disguise: OnceLock::new(),
        });
        for place in world.places() {
            world.start(place).await;
        }
        world
    }

    /// The numbers of all processes.
    pub(crate) fn places(&self) -> std::ops::Range<Place> {
        0..self.settings.len()
    }

    /// The numbers of those whose operators do not lie.
    pub(crate) fn honest(&self) -> impl Iterator<Item = Place> {
        let hostile = self.hostile;
        self.places().filter(move |place| Some(*place) != hostile)
    }

    /// The names of the tenants of a process.
    pub(crate) fn names(&self, place: Place) -> &[String] {
        &self.settings[place].names
    }

    /// The process with a tenant.
    pub(crate) fn place_of(&self, server: &str) -> Option<Place> {
        self.settings.iter().position(|setting| setting.names.iter().any(|name| name == server))
    }

    /// The users of a process.
    pub(crate) fn users(&self, place: Place) -> Vec<OwnedUserId> {
        let name = |name: &String| PEOPLE.map(|local| UserId::parse(format!("@{local}:{name}")).unwrap());
        self.names(place).iter().flat_map(name).collect()
    }

    /// Somebody in each honest process looks at what was said before in every room, as far back as it goes: what could not be had
    /// when it was said is had then.
    pub(crate) async fn scroll_back(&self, rooms: &[OwnedRoomId]) {
        for place in self.honest() {
            let Some(process) = self.process(place) else { continue };
            let tenants = process.setting.hosted.tenants();
            for (room_id, tenant) in
                rooms.iter().flat_map(|room_id| tenants.iter().map(move |of| (room_id, of)))
            {
                for _ in 0..PAGES_BACK {
                    let page = process.life.during(process.ingest.backfill(tenant, room_id)).await;
                    if !matches!(page, Some(Ok(1..))) {
                        break;
                    }
                }
            }
        }
    }

    /// What lies at the devices of honest users.
    pub(crate) async fn messages(&self) -> BTreeMap<String, Vec<Lying>> {
        let mut lying = BTreeMap::new();
        for place in self.honest() {
            let Some(process) = self.process(place) else { continue };
            for user in self.users(place) {
                lying.insert(user.to_string(), process.messages(&user).await);
            }
        }
        lying
    }

    /// A process, if it runs.
    pub(crate) fn process(&self, place: Place) -> Option<Arc<Process>> {
        self.lock().processes[place].clone()
    }

    /// Starts a process that does not run.
    pub(crate) async fn start(&self, place: Place) {
        let (disk, rng) = {
            let mut running = self.lock();
            if running.processes[place].is_some() {
                return;
            }
            (running.disks[place].clone(), running.rng.fork("start"))
        };
        let process = Process::start(&self.settings[place], &self.wires, (disk, rng)).await;
        let users = self.users(place);
        let _died = process.life.during(process.give_devices(&users)).await;
        self.disguised(&process);
        self.lock().processes[place] = Some(process);
        self.trace.note(format!("p{place} starts"));
    }

    /// Has something else answer in the place of the process whose operator lies.
    pub(crate) fn disguise(&self, disguise: Disguise) {
        if self.disguise.set(disguise).is_ok()
            && let Some(process) = self.hostile.and_then(|place| self.process(place))
        {
            self.disguised(&process);
        }
    }

    fn disguised(&self, process: &Arc<Process>) {
        let Process { setting, life, .. } = &**process;
        if Some(setting.place) == self.hostile
            && let Some(handler) = self.disguise.get().and_then(|disguise| disguise(process))
        {
            self.wires.serve(setting.place, (&setting.names, life.clone()), &handler);
        }
    }

    /// Kills a process.
    pub(crate) async fn crash(&self, place: Place) {
        let (process, mut rng) = {
            let mut running = self.lock();
            (running.processes[place].take(), running.rng.fork("crash"))
        };
        let Some(process) = process else { return };
        let (kept, lost) = process.crash(&mut rng).await;
        let mut running = self.lock();
        if running.are_forgetful {
            running.disks[place] = Arc::new(MemoryEngine::new());
        }
        drop(running);
        self.trace.note(format!("p{place} dies: {kept} batches durable and not told, {lost} lost"));
    }

    /// Heals all links and starts whoever does not run.
    pub(crate) async fn recover(&self) {
        self.wires.heal_all();
        self.wires.weather(crate::wires::Weather::FAIR);
        for place in self.places() {
            self.start(place).await;
        }
        self.trace.note("everything is healed");
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn setting(place: Place, tenants: usize, rng: &mut Rng) -> Setting {
    let names: Vec<String> = match tenants {
        1 => vec![format!("s{place}.example")],
        _ => ('a'..).take(tenants).map(|letter| format!("{letter}.s{place}.example")).collect(),
    };
    let hosted = Hosted::new(&names);
    // Nobody's clock is quite right.
    let clock = RuntimeClock::new(START_TS + rng.between(-20_000, 20_000));
    Setting { place, names, hosted, clock, notaries: Vec::new() }
}

/// Every process asks the others for keys that it cannot have otherwise, and first the one whose operator lies: without the
/// keys of a server that does not answer, nobody could tell its part of the state of a room from what others make up.
fn with_notaries(mut settings: Vec<Setting>, hostile: Option<Place>) -> Vec<Setting> {
    let mut names: Vec<(Place, String)> =
        settings.iter().map(|setting| (setting.place, setting.names[0].clone())).collect();
    names.sort_by_key(|(place, _)| (Some(*place) != hostile, *place));
    for setting in &mut settings {
        let others = names.iter().filter(|(place, _)| *place != setting.place);
        setting.notaries = others.map(|(_, name)| ServerName::parse(name.as_str()).unwrap()).collect();
    }
    settings
}
