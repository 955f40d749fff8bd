//! Events that an operator who lies makes.

use freehold_canonical_json::Object;
use freehold_event::{EventReference, ProtoEvent, RoomVersion};
use freehold_signing::Signer as _;
use freehold_testkit::Rng;
use ruma_common::room_version_rules::EventIdFormatVersion;
use ruma_common::{EventId, OwnedEventId, OwnedUserId, UserId};

use super::{Adversary, Scene, Trick};
use crate::hosted::signer;
use crate::process::pass;

/// What an event is made from.
pub(super) struct Draft {
    sender: OwnedUserId,
    /// In whose name it is signed; always with the operator's key.
    signed_as: String,
    event_type: &'static str,
    state_key: Option<String>,
    content: Vec<(&'static str, String)>,
    /// What it follows; the newest events where nothing is said.
    follows: Option<Vec<OwnedEventId>>,
    /// What authorises it beside what should.
    cites: Vec<OwnedEventId>,
    /// Its id, where the author chooses it.
    event_id: Option<OwnedEventId>,
}

impl Draft {
    fn message(sender: &UserId, text: String) -> Self {
        Draft {
            sender: sender.to_owned(),
            signed_as: sender.server_name().to_string(),
            event_type: "m.room.message",
            state_key: None,
            content: vec![("msgtype", "m.text".to_owned()), ("body", text)],
            follows: None,
            cites: Vec::new(),
            event_id: None,
        }
    }
}

impl Adversary {
    pub(super) async fn drafts(&self, trick: Trick, scene: &Scene<'_>, rng: &mut Rng) -> Option<Vec<Draft>> {
        let lie = |number: usize| format!("lie {number} {}", "la ".repeat(number % 40));
        let number = rng.below(1_000_000);
        let message = Draft::message(scene.who, lie(number));
        Some(match trick {
            Trick::Forge => {
                let honest = self.honest_user(scene.room, rng)?;
                vec![Draft::message(&honest, lie(number))]
            }
            Trick::Phantoms => {
                let version = self.version(scene).await?;
                let phantoms = (0..2).map(|_| phantom(scene.who, version, rng)).collect();
                vec![Draft { follows: Some(phantoms), ..message }]
            }
            Trick::Orphan => {
                let version = self.version(scene).await?;
                vec![Draft { cites: vec![phantom(scene.who, version, rng)], ..message }]
            }
            Trick::Circle => {
                let version = self.version(scene).await.filter(|version| author_chooses_id(version))?;
                let ids: Vec<OwnedEventId> = (0..2).map(|_| phantom(scene.who, version, rng)).collect();
                let also = |about: usize| Draft {
                    event_id: Some(ids[about].clone()),
                    ..Draft::message(scene.who, lie(number + about))
                };
                match rng.chance(50) {
                    true => vec![
                        Draft { follows: Some(vec![ids[1].clone()]), ..also(0) },
                        Draft { follows: Some(vec![ids[0].clone()]), ..also(1) },
                    ],
                    false => vec![
                        Draft { cites: vec![ids[1].clone()], ..also(0) },
                        Draft { cites: vec![ids[0].clone()], ..also(1) },
                    ],
                }
            }
            Trick::Overreach => {
                let victim = self.honest_user(scene.room, rng)?;
                let ban = Draft {
                    event_type: "m.room.member",
                    state_key: Some(victim.to_string()),
                    content: vec![("membership", "ban".to_owned())],
                    ..Draft::message(scene.who, String::new())
                };
                let rule = Draft {
                    event_type: "m.room.join_rules",
                    state_key: Some(String::new()),
                    content: vec![("join_rule", "public".to_owned())],
                    ..message
                };
                vec![ban, rule]
            }
            Trick::Backdate => {
                let (event_id, _) = rng.pick(&scene.room.sent)?.clone();
                vec![Draft { follows: Some(vec![EventId::parse(event_id).unwrap()]), ..message }]
            }
            Trick::Equivocate => vec![message, Draft::message(scene.who, lie(number + 1))],
            _ => vec![message],
        })
    }

    /// The event that a draft becomes, as the operator's process sees the room.
    pub(super) async fn made(&self, scene: &Scene<'_>, draft: Draft) -> Option<String> {
        let version = self.version(scene).await?;
        let reader = scene.process.rooms.reader().ok()?;
        let number = reader.room_number(&scene.room.room_id).await.ok()??;
        let state = reader.current_state(number).await.ok()?;
        let create = state.get("m.room.create", "").await.ok()??;
        // Nobody can tell the hash of what does not exist.
        let to = |event_id| EventReference { event_id, reference_hash: Some(create.pdu.reference_hash()) };
        let mut proto = ProtoEvent::new(draft.sender.clone(), draft.event_type);
        let mut keys =
            vec![("m.room.power_levels", String::new()), ("m.room.member", draft.sender.to_string())];
        if !version.rules().authorization.room_create_event_id_as_room_id {
            keys.push(("m.room.create", String::new()));
        }
        if let Some(target) = draft.state_key.as_ref().filter(|_| draft.event_type == "m.room.member") {
            keys.push(("m.room.member", target.clone()));
        }
        for (event_type, state_key) in keys {
            if let Some(event) = state.get(event_type, &state_key).await.ok()? {
                proto.auth_events.push(EventReference::from(&event.pdu));
            }
        }
        let heads = reader.forward_extremities(number).await.ok()?;
        let follows = draft.follows.unwrap_or(heads);
        proto.prev_events = follows.into_iter().map(to).collect();
        proto.auth_events.extend(draft.cites.into_iter().map(to));
        proto.event_id = draft.event_id.filter(|_| author_chooses_id(version));
        if author_chooses_id(version) && proto.event_id.is_none() {
            proto.event_id = Some(self.new_id(scene.who));
        }
        proto.room_id = Some(scene.room.room_id.clone());
        proto.state_key = draft.state_key;
        let mut content = Object::new();
        for (name, text) in draft.content {
            content.insert(name, text);
        }
        proto.content = content;
        proto.origin_server_ts = freehold_store::Clock::now_ts(&scene.process.setting.clock);
        proto.depth = 1_000;
        let new = proto.build(version).ok()?;
        let key = signer(scene.who.server_name());
        let signature = key.sign(new.signed_bytes()).to_base64();
        let signed = new.with_signature(&draft.signed_as, key.key_id().as_str(), &signature).ok()?;
        Some(signed.pdu().canonical_json().to_owned())
    }

    /// Sends the child first, and the parent a while later; the operator's process knows neither.
    pub(super) async fn reorder(&self, scene: &Scene<'_>, servers: &[String], parent: String) {
        let Some(parent_id) = self.id_of(scene, &parent).await else { return };
        let child =
            Draft { follows: Some(vec![parent_id]), ..Draft::message(scene.who, "lie after".to_owned()) };
        let Some(child) = self.made(scene, child).await else { return };
        self.send(scene, servers, vec![child]).await;
        pass(500).await;
        self.send(scene, servers, vec![parent]).await;
    }

    /// Sends the last of some events that only the operator's process has; one of the others authorises it.
    pub(super) async fn ravine(&self, scene: &Scene<'_>, rng: &mut Rng) {
        let lie = format!("lie {}", rng.below(1_000_000));
        let name = Draft {
            event_type: "m.room.member",
            state_key: Some(scene.who.to_string()),
            content: vec![("membership", "join".to_owned()), ("displayname", lie.clone())],
            ..Draft::message(scene.who, String::new())
        };
        let mut last = None;
        for draft in [name, Draft::message(scene.who, lie.clone()), Draft::message(scene.who, lie + " again")]
        {
            let Some(text) = self.made(scene, draft).await else { return };
            self.keep(scene, &text).await;
            last = Some(text);
        }
        let servers = self.others(rng);
        self.send(scene, &servers, last.into_iter().collect()).await;
    }

    pub(super) async fn id_of(&self, scene: &Scene<'_>, text: &str) -> Option<OwnedEventId> {
        let version = self.version(scene).await?;
        Some(freehold_event::Pdu::parse(text.as_bytes(), version).ok()?.event_id().to_owned())
    }

    async fn version(&self, scene: &Scene<'_>) -> Option<&'static RoomVersion> {
        let reader = scene.process.rooms.reader().ok()?;
        let number = reader.room_number(&scene.room.room_id).await.ok()??;
        Some(reader.room(number).await.ok()??.version)
    }

    /// An id that was not used before.
    fn new_id(&self, who: &UserId) -> OwnedEventId {
        let mut sent = self.lock();
        sent.made += 1;
        EventId::parse(format!("$made-{}:{}", sent.made, who.server_name())).unwrap()
    }

    /// The operator's own process takes an event, so that others can ask for it.
    pub(super) async fn keep(&self, scene: &Scene<'_>, text: &str) {
        let tenant = scene.tenant();
        let room_id = &scene.room.room_id;
        let taken = scene.process.ingest.take(&tenant, tenant.server_name(), room_id, vec![text.to_owned()]);
        drop(scene.process.life.during(taken).await);
    }
}

fn author_chooses_id(version: &RoomVersion) -> bool {
    version.rules().event_id_format == EventIdFormatVersion::V1
}

/// The id of an event that does not exist.
fn phantom(who: &UserId, version: &RoomVersion, rng: &mut Rng) -> OwnedEventId {
    let name: String = (0..43).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
    let id = match author_chooses_id(version) {
        true => format!("${name}:{}", who.server_name()),
        false => format!("${name}"),
    };
    EventId::parse(id).unwrap()
}
