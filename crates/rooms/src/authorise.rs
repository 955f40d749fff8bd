//! Restricted joins: whether somebody may join, and who here says so.

use std::collections::BTreeSet;

use freehold_canonical_json::{elements, member, string_member};
use freehold_event_auth::{AuthState, JoinRule, NamedLevel, Power};
use freehold_store::tables::rooms::{LOCAL_MEMBERS, Membership};
use freehold_store::{Actor, Order, RoomNumber, TenantNumber};
use ruma_common::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::error::ActionError;
use crate::loaded::Locals;
use crate::work::Work;

impl Locals {
    /// Whether users of a tenant are joined.
    pub(crate) fn has_joined(&self, tenant: TenantNumber) -> bool {
        self.0.values().any(|(of, membership)| *of == tenant && *membership == Membership::Join)
    }
}

/// Who of a tenant authorises a restricted join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authoriser {
    /// This user.
    User(OwnedUserId),
    /// The joining user meets a condition, but nobody of the tenant has the power to invite.
    NobodyMayInvite,
    /// The joining user meets no condition.
    NoCondition,
    /// The tenant is not in all of the rooms that it would have to know.
    CannotTell,
}

impl Work {
    /// Whether the join rule is one with conditions, in a room version that has such.
    pub(crate) fn is_restricted(&self) -> bool {
        let rules = &self.machine.version().rules().authorization;
        match self.machine.facts().join_rule().map(|fact| fact.value) {
            Some(JoinRule::Restricted) => rules.restricted_join_rule,
            Some(JoinRule::KnockRestricted) => rules.knock_restricted_join_rule,
            _ => false,
        }
    }

    /// The user who authorises a restricted join: joined, with the power to invite, and of a tenant that can tell
    /// that the joining user meets one of the conditions. The user's own tenant is asked first, as a server does that
    /// is in the room itself.
    pub(crate) async fn authoriser(&mut self, actor: &Actor) -> Result<Option<OwnedUserId>, ActionError> {
        let mut tenants: Vec<TenantNumber> = self.tenants().into_iter().collect();
        tenants.sort_by_key(|tenant| *tenant != actor.tenant.number());
        for tenant in tenants {
            if let Authoriser::User(user) = self.authoriser_of(tenant, &actor.user_id).await?
                && self.rooms.reached(&actor.tenant, user.server_name()).is_some()
            {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Who of a tenant authorises the join of a user, who may be anybody's.
    pub(crate) async fn authoriser_of(
        &mut self,
        tenant: TenantNumber,
        user_id: &UserId,
    ) -> Result<Authoriser, ActionError> {
        let (mut is_met, mut is_unknown) = (false, false);
        for room in self.allowed_rooms().await? {
            match room {
                Some(room) if self.has_member_in(tenant, room).await? => {
                    is_met |= self.is_joined(user_id, room).await?;
                }
                _ => is_unknown = true,
            }
        }
        if is_met {
            let user = self.inviter_of(tenant).await?;
            return Ok(user.map_or(Authoriser::NobodyMayInvite, Authoriser::User));
        }
        Ok(if is_unknown { Authoriser::CannotTell } else { Authoriser::NoCondition })
    }

    /// The rooms whose members may join; `None` for one that is not known here.
    async fn allowed_rooms(&mut self) -> Result<Vec<Option<RoomNumber>>, ActionError> {
        let Some(rules) = self.state_event("m.room.join_rules", "").await? else {
            return Ok(Vec::new());
        };
        Ok(self.snapshot.numbers_of(&allow_list(rules.pdu.content())).await?)
    }

    async fn is_joined(&self, user_id: &UserId, room: RoomNumber) -> Result<bool, ActionError> {
        let state = self.rooms.reader_at(self.snapshot.clone()).current_state(room).await?;
        let member = state.get("m.room.member", user_id.as_str()).await?;
        Ok(member.is_some_and(|member| member.row.membership == Some(Membership::Join)))
    }

    /// The tenants with joined users.
    fn tenants(&self) -> BTreeSet<TenantNumber> {
        let joined = self.locals.0.values().filter(|(_, membership)| *membership == Membership::Join);
        joined.map(|(tenant, _)| *tenant).collect()
    }

    /// Whether a tenant is in a room, so that it knows who else is.
    async fn has_member_in(&self, tenant: TenantNumber, room: RoomNumber) -> Result<bool, ActionError> {
        let rows =
            self.snapshot.scan_prefix(&LOCAL_MEMBERS, &(room, tenant), Order::Ascending, usize::MAX).await?;
        Ok(rows.iter().any(|(_, membership)| *membership == Membership::Join))
    }

    /// A joined user of a tenant who has the power to invite.
    async fn inviter_of(&self, tenant: TenantNumber) -> Result<Option<OwnedUserId>, ActionError> {
        let needed = Power::Level(self.power_levels().level(NamedLevel::Invite));
        let joined = self.locals.0.iter().filter(|(_, member)| **member == (tenant, Membership::Join));
        for (user, _) in joined {
            let user_id = self.snapshot.id_of(*user).await?;
            if self.power(user_id.as_str()) >= needed {
                return Ok(Some(user_id));
            }
        }
        Ok(None)
    }
}

/// The rooms of the `m.room_membership` conditions in join rules
/// (<https://spec.matrix.org/v1.19/client-server-api/#mroomjoin_rules>).
pub(crate) fn allow_list(content: &str) -> Vec<OwnedRoomId> {
    let Some(list) = member(content, "allow").ok().flatten() else {
        return Vec::new();
    };
    let room_of = |condition: &str| {
        let is_membership = string_member(condition, "type").as_deref() == Some("m.room_membership");
        let room_id = string_member(condition, "room_id").filter(|_| is_membership)?;
        RoomId::parse(room_id).ok()
    };
    elements(list.text()).filter_map(Result::ok).filter_map(|condition| room_of(condition.text())).collect()
}
