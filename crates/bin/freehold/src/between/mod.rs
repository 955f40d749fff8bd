//! What services ask of each other: one file for each trait, implemented over the service that answers.

mod account_news;
mod account_policies;
mod device_keys;
mod device_news;
mod directories;
mod identities;
mod ingest;
mod media_policies;
mod member_events;
mod notary;
mod older_events;
mod origin_keys;
mod own_documents;
mod profiles;
mod servers;
mod tenant_keys;
mod tenant_users;
mod told_servers;

pub(crate) use account_news::NewsOfAccounts;
pub(crate) use account_policies::AccountPolicies;
pub(crate) use device_keys::KeysOfDevices;
pub(crate) use device_news::NewsOfDevices;
pub(crate) use directories::DirectoriesOfOthers;
pub(crate) use identities::IdentitiesOfTenants;
pub(crate) use ingest::EventsIntoRooms;
pub(crate) use media_policies::MediaPolicies;
pub(crate) use member_events::MemberEventsInRooms;
pub(crate) use notary::NotaryTenants;
pub(crate) use older_events::EventsOfOthers;
pub(crate) use origin_keys::KeysOfOrigins;
pub(crate) use own_documents::DocumentsOfTenants;
pub(crate) use profiles::ProfilesOfAccounts;
pub(crate) use servers::TenantsAsServers;
pub(crate) use tenant_keys::KeysOfTenants;
pub(crate) use tenant_users::UsersOfTenants;
pub(crate) use told_servers::ToldServers;
