//! What services ask of each other: one file for each trait, implemented over the service that answers.

mod account_news;
mod account_policies;
mod device_keys;
mod device_news;
mod directories;
mod identities;
mod media_of_others;
mod media_policies;
mod member_events;
mod older_events;
mod own_devices;
mod own_documents;
mod presence_policies;
mod profiles;
mod servers;
mod tenant_keys;
mod tenant_users;
mod told_servers;

pub(crate) use account_news::NewsOfAccounts;
pub(crate) use account_policies::AccountPolicies;
pub(crate) use device_keys::KeysOfDevices;
pub(crate) use device_news::NewsOfDevices;
pub(crate) use directories::{DirectoriesOfOthers, Spaces};
pub(crate) use identities::IdentitiesOfTenants;
pub(crate) use media_of_others::FilesOfOthers;
pub(crate) use media_policies::MediaPolicies;
pub(crate) use member_events::MemberEventsInRooms;
pub(crate) use older_events::EventsOfOthers;
pub(crate) use own_devices::DevicesOfTenants;
pub(crate) use own_documents::DocumentsOfTenants;
pub(crate) use presence_policies::PresenceOfTenants;
pub(crate) use profiles::ProfilesOfAccounts;
pub(crate) use servers::TenantsAsServers;
pub(crate) use tenant_keys::KeysOfTenants;
pub(crate) use tenant_users::UsersOfTenants;
pub(crate) use told_servers::ToldServers;
