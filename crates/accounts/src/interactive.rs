//! User-interactive authentication (<https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>).
//!
//! What is under way is held in memory: after a restart people begin again, and nothing is lost but their time.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use freehold_store::{Actor, Tenant, TenantNumber, UserNumber};
use lru::LruCache;
use sha2::{Digest, Sha256};

use crate::accounts::Accounts;
use crate::failure::{ServerFailure, server_failures};
use crate::login::LoginError;
use crate::password::Password;
use crate::policies::{Registration, TermsDocument};
use crate::random;
use crate::register::Admission;

/// How long people have for all stages together, in milliseconds.
const LIFETIME_MS: i64 = 30 * 60 * 1000;

/// One thing that somebody is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    Dummy,
    /// To type the password.
    Password,
    /// To show a registration token.
    RegistrationToken,
    /// To accept the documents of the tenant.
    Terms,
}

impl Stage {
    /// Its authentication type.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Dummy => "m.login.dummy",
            Stage::Password => "m.login.password",
            Stage::RegistrationToken => "m.login.registration_token",
            Stage::Terms => "m.login.terms",
        }
    }

    /// The stage of an authentication type.
    pub fn named(name: &str) -> Option<Self> {
        [Stage::Dummy, Stage::Password, Stage::RegistrationToken, Stage::Terms]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }
}

/// What somebody did.
#[derive(Clone, Debug)]
pub enum StageProof {
    /// Nothing.
    Dummy,
    /// Typed user name and password.
    Password {
        /// A user id, or a localpart.
        user: String,
        /// The password.
        password: Password,
    },
    /// Showed a registration token.
    RegistrationToken(String),
    /// Accepted the documents.
    Terms,
}

impl StageProof {
    fn stage(&self) -> Stage {
        match self {
            StageProof::Dummy => Stage::Dummy,
            StageProof::Password { .. } => Stage::Password,
            StageProof::RegistrationToken(_) => Stage::RegistrationToken,
            StageProof::Terms => Stage::Terms,
        }
    }
}

/// What a request says about authentication in its `auth`.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// The session, as an answer named it.
    pub session: Option<String>,
    /// What was done now.
    pub proof: Option<StageProof>,
}

/// What stands for no endpoint.
const CONSENT: &str = "consent";

/// For what somebody authenticates. What was done for one purpose does not count for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    tenant: TenantNumber,
    user: Option<UserNumber>,
    request: [u8; 32],
}

impl Purpose {
    /// Registering an account of a tenant. The request may change on the way: clients ask for the flows before they
    /// know the name.
    pub fn registration(tenant: &Tenant) -> Self {
        Purpose { tenant: tenant.number(), user: None, request: digest("register", &[]) }
    }

    /// Accepting the documents of the tenant, after an account was made.
    pub(crate) fn consent(actor: &Actor) -> Self {
        let request = digest(CONSENT, &[]);
        Purpose { tenant: actor.tenant.number(), user: Some(actor.user), request }
    }

    /// Whose consent it is, if it is one.
    fn consenting(&self) -> Option<UserNumber> {
        self.user.filter(|_| self.request == digest(CONSENT, &[]))
    }

    /// A request of a user: the endpoint, and what of its body and path decides what it does.
    pub fn request(actor: &Actor, endpoint: &'static str, details: &[&str]) -> Self {
        let request = digest(endpoint, details);
        Purpose { tenant: actor.tenant.number(), user: Some(actor.user), request }
    }
}

/// What is still asked of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Under which name to go on.
    pub session: String,
    /// Ways to authenticate: the stages of each, in order.
    pub flows: Vec<Vec<Stage>>,
    /// What was done.
    pub completed: Vec<Stage>,
    /// The documents, if a stage is about them.
    pub terms: Vec<TermsDocument>,
    /// What was wrong with the last attempt.
    pub failure: Option<StageFailure>,
}

/// What was wrong with an attempt; another is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageFailure {
    /// The session is unknown, is over, or was for something else.
    #[error("unknown authentication session")]
    UnknownSession,
    /// The stage is not the next of any flow.
    #[error("this stage is not the next one")]
    NotNext,
    /// The password is wrong, or another user's.
    #[error("wrong user name or password")]
    Password,
    /// The registration token is not valid.
    #[error("registration token is not valid")]
    RegistrationToken,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum InteractionError {
    /// Something is still asked of who asks.
    #[error("user-interactive authentication is required")]
    Challenge(Box<Challenge>),
    /// The tenant lets nobody register.
    #[error("registration is closed")]
    RegistrationClosed,
    /// A password cannot be looked at now.
    #[error(transparent)]
    Login(LoginError),
    /// The server failed.
    #[error(transparent)]
    Server(#[from] ServerFailure),
}

server_failures!(InteractionError);

/// All stages of a flow were done.
#[derive(Clone, Debug)]
pub struct Completed {
    session: String,
    registration_token: Option<String>,
    terms: Vec<(String, String)>,
}

impl Completed {
    /// On what grounds the account is made that this was about.
    pub fn admission(&self) -> Admission {
        let (registration_token, terms) = (self.registration_token.clone(), self.terms.clone());
        Admission::Registered { registration_token, terms }
    }
}

/// Interactive authentications under way.
#[derive(Debug)]
pub(crate) struct Interactions {
    under_way: Mutex<LruCache<String, Interaction>>,
    max: NonZeroUsize,
    /// What makes names of sessions that nobody guesses; made when it is first needed.
    secret: OnceLock<[u8; 32]>,
}

#[derive(Clone, Debug)]
struct Interaction {
    purpose: Purpose,
    flows: Vec<Vec<Stage>>,
    completed: Vec<Stage>,
    registration_token: Option<String>,
    documents: Vec<TermsDocument>,
    since_ts: i64,
}

impl Accounts {
    /// What a tenant asks of people who register.
    ///
    /// # Errors
    /// [`InteractionError::RegistrationClosed`].
    pub async fn registration_flows(&self, tenant: &Tenant) -> Result<Vec<Vec<Stage>>, InteractionError> {
        let policy = self.policy(tenant).await?;
        let mut stages = match policy.registration {
            Registration::Closed => return Err(InteractionError::RegistrationClosed),
            Registration::Token | Registration::Invitation => vec![Stage::RegistrationToken],
            Registration::Open if policy.terms.is_empty() => vec![Stage::Dummy],
            Registration::Open => Vec::new(),
        };
        if !policy.terms.is_empty() {
            stages.push(Stage::Terms);
        }
        Ok(vec![stages])
    }

    /// Whether somebody did all that is asked for a purpose. When the request is carried out, call
    /// [`Accounts::end_interaction`].
    ///
    /// # Errors
    /// [`InteractionError::Challenge`] if not.
    pub async fn interact(
        &self,
        tenant: &Tenant,
        (purpose, flows): (Purpose, Vec<Vec<Stage>>),
        attempt: Option<Attempt>,
    ) -> Result<Completed, InteractionError> {
        let Attempt { session, proof } = attempt.unwrap_or_default();
        let named = session.is_some();
        let (id, mut failure) = match session.filter(|id| self.is_under_way(id, &purpose)) {
            Some(id) => (id, None),
            // Who sends the first stage at once has not been given a session yet.
            None => {
                let failure = named.then_some(StageFailure::UnknownSession);
                (self.begin(tenant, (purpose, flows)).await?, failure)
            }
        };
        if let Some(proof) = proof {
            failure = self.complete_stage(tenant, &id, proof).await?.err();
        }
        match self.0.interactions.find(&id, self.now_ts()) {
            Some(interaction) => interaction.outcome(id, failure),
            None => Err(ServerFailure::Damaged("interaction").into()),
        }
    }

    /// What is still asked in a session, for pages that people see in a browser.
    pub fn interaction(&self, tenant: &Tenant, session: &str) -> Option<Challenge> {
        let interaction = self.0.interactions.find(session, self.now_ts())?;
        (interaction.purpose.tenant == tenant.number())
            .then(|| interaction.challenge(session.to_owned(), None))
    }

    /// Does one stage of a session of a tenant.
    ///
    /// # Errors
    /// [`InteractionError`] when nothing can be said about it; what is wrong with the attempt is the inner error.
    pub async fn complete_stage(
        &self,
        tenant: &Tenant,
        session: &str,
        proof: StageProof,
    ) -> Result<Result<(), StageFailure>, InteractionError> {
        let found = self.0.interactions.find(session, self.now_ts());
        let Some(interaction) = found.filter(|found| found.purpose.tenant == tenant.number()) else {
            return Ok(Err(StageFailure::UnknownSession));
        };
        let stage = proof.stage();
        if interaction.completed.contains(&stage) {
            return Ok(Ok(()));
        }
        if !interaction.is_next(stage) {
            return Ok(Err(StageFailure::NotNext));
        }
        let token = match proof {
            StageProof::RegistrationToken(ref token) => Some(token.clone()),
            _ => None,
        };
        if let Err(failure) = self.check_proof(tenant, &interaction.purpose, proof).await? {
            return Ok(Err(failure));
        }
        if let Some(user) = interaction.purpose.consenting() {
            self.accept_terms(user, &interaction.documents).await?;
        }
        self.0.interactions.complete(session, stage, token);
        Ok(Ok(()))
    }

    /// Ends a session that served its purpose.
    pub fn end_interaction(&self, completed: &Completed) {
        self.0.interactions.lock().pop(&completed.session);
    }

    fn is_under_way(&self, session: &str, purpose: &Purpose) -> bool {
        self.0.interactions.find(session, self.now_ts()).is_some_and(|found| found.purpose == *purpose)
    }

    async fn begin(
        &self,
        tenant: &Tenant,
        (purpose, flows): (Purpose, Vec<Vec<Stage>>),
    ) -> Result<String, ServerFailure> {
        let id = BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<24>()?);
        let documents = if flows.iter().flatten().any(|stage| *stage == Stage::Terms) {
            self.policy(tenant).await?.terms.clone()
        } else {
            Vec::new()
        };
        let interaction = Interaction {
            purpose,
            flows,
            completed: Vec::new(),
            registration_token: None,
            documents,
            since_ts: self.now_ts(),
        };
        self.0.interactions.remember(id.clone(), interaction);
        Ok(id)
    }

    async fn check_proof(
        &self,
        tenant: &Tenant,
        purpose: &Purpose,
        proof: StageProof,
    ) -> Result<Result<(), StageFailure>, InteractionError> {
        match proof {
            StageProof::Dummy | StageProof::Terms => Ok(Ok(())),
            StageProof::RegistrationToken(token) => {
                let valid = self.is_registration_token_valid(tenant, &token).await?;
                Ok(if valid { Ok(()) } else { Err(StageFailure::RegistrationToken) })
            }
            StageProof::Password { user, password } => {
                match self.owner_of_password(tenant, &user, &password).await {
                    Ok(number) if Some(number) == purpose.user => Ok(Ok(())),
                    Ok(_) | Err(LoginError::Wrong) => Ok(Err(StageFailure::Password)),
                    Err(LoginError::Server(failure)) => Err(failure.into()),
                    Err(other) => Err(InteractionError::Login(other)),
                }
            }
        }
    }
}

impl Interactions {
    pub(crate) fn new(max: usize) -> Self {
        let max = NonZeroUsize::new(max).unwrap_or(NonZeroUsize::MIN);
        Interactions { under_way: Mutex::new(LruCache::unbounded()), max, secret: OnceLock::new() }
    }

    pub(crate) fn secret(&self) -> Result<[u8; 32], ServerFailure> {
        if let Some(secret) = self.secret.get() {
            return Ok(*secret);
        }
        let made = random::bytes()?;
        Ok(*self.secret.get_or_init(|| made))
    }

    /// Has a session of this name be under way, with all its time before it.
    pub(crate) fn ensure(
        &self,
        id: &str,
        (purpose, flows, documents): (Purpose, Vec<Vec<Stage>>, Vec<TermsDocument>),
        since_ts: i64,
    ) {
        let (completed, registration_token) = (Vec::new(), None);
        let interaction = Interaction { purpose, flows, completed, registration_token, documents, since_ts };
        self.remember(id.to_owned(), interaction);
    }

    fn find(&self, id: &str, now_ts: i64) -> Option<Interaction> {
        let mut under_way = self.lock();
        let found = under_way.get(id)?;
        if now_ts - found.since_ts > LIFETIME_MS {
            under_way.pop(id);
            return None;
        }
        Some(found.clone())
    }

    fn remember(&self, id: String, interaction: Interaction) {
        let mut under_way = self.lock();
        under_way.put(id, interaction);
        if under_way.len() > self.max.get() {
            under_way.pop_lru();
        }
    }

    fn complete(&self, id: &str, stage: Stage, token: Option<String>) {
        if let Some(interaction) = self.lock().get_mut(id)
            && interaction.is_next(stage)
        {
            interaction.completed.push(stage);
            interaction.registration_token = token.or(interaction.registration_token.take());
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Interaction>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Interaction {
    /// The flow's stages must be completed in order.
    fn is_next(&self, stage: Stage) -> bool {
        self.flows.iter().any(|flow| {
            flow.strip_prefix(self.completed.as_slice()).is_some_and(|rest| rest.first() == Some(&stage))
        })
    }

    fn outcome(self, id: String, failure: Option<StageFailure>) -> Result<Completed, InteractionError> {
        if !self.flows.contains(&self.completed) {
            return Err(InteractionError::Challenge(Box::new(self.challenge(id, failure))));
        }
        let accepted = self.completed.contains(&Stage::Terms);
        let documents = self.documents.into_iter().filter(|_| accepted);
        let terms = documents.map(|document| (document.name, document.version)).collect();
        Ok(Completed { session: id, registration_token: self.registration_token, terms })
    }

    fn challenge(self, session: String, failure: Option<StageFailure>) -> Challenge {
        let Interaction { flows, completed, documents, .. } = self;
        Challenge { session, flows, completed, terms: documents, failure }
    }
}

fn digest(endpoint: &str, details: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&endpoint).chain(details) {
        // The lengths keep apart what could be split in several ways.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}
