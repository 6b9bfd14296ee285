//! Every error as an answer: one shape, one stable code each. The only place that knows both.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::value::{RawValue, to_raw_value};
use tollgate_shared::api::{ErrorBody, ErrorFacts, RejectedProvider};
use tollgate_shared::body::BodyError;
use tollgate_shared::budget::{BudgetError, Refusal};
use tollgate_shared::provider::RegistrationError;

use crate::flight::{AttemptError, FlightError};
use crate::ledger::{ChangeError, HoldError};
use crate::registry::{Choice, RegistryError};
use crate::store::{Outage, StoreError};

/// An error on its way out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Box<RawValue>>,
    retry: Retry,
}

/// What the client is told about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// Nothing.
    Unsaid,
    /// It would be the same again.
    No,
    /// After so many seconds.
    After(u32),
}

impl Problem {
    /// An error without details.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
            details: None,
            retry: Retry::Unsaid,
        }
    }

    /// A field that is wrong, by name.
    pub fn field(field: &str, reason: impl std::fmt::Display) -> Self {
        tollgate_shared::body::invalid(field, reason).into()
    }

    pub(super) fn details<T: serde::Serialize>(mut self, details: &T) -> Self {
        self.details = to_raw_value(details).ok();
        self
    }

    pub(super) fn final_(mut self) -> Self {
        self.retry = Retry::No;
        self
    }

    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry = Retry::After(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorFacts {
                code: self.code.to_owned(),
                message: self.message,
                details: self.details,
            },
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        let should_retry = HeaderName::from_static("x-should-retry");
        match self.retry {
            Retry::Unsaid => {}
            Retry::No => {
                headers.insert(should_retry, HeaderValue::from_static("false"));
            }
            Retry::After(seconds) => {
                headers.insert(should_retry, HeaderValue::from_static("true"));
                headers.insert(axum::http::header::RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        response
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::NotAnObject(_) => Self::new(400, "invalid_json", message),
            BodyError::Duplicate(_) => Self::new(400, "duplicate_field", message),
            BodyError::Unknown(field) => {
                Self::new(422, "unknown_field", message).details(&Named { field: &field })
            }
            BodyError::Missing(field) => {
                Self::new(422, "missing_field", message).details(&Named { field })
            }
            BodyError::Invalid { field, .. } => {
                let (status, code) = match field.as_str() {
                    "run_id" => (400, "invalid_run_id"),
                    "request_id" => (400, "invalid_request_id"),
                    _ => (422, "invalid_field"),
                };
                Self::new(status, code, message).details(&Named { field: &field })
            }
        }
    }
}

/// What a change was made against, and what there is.
#[derive(serde::Serialize, serde::Deserialize)]
struct Versions<T> {
    expected: u64,
    current: u64,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    now: Option<T>,
}

#[derive(serde::Serialize)]
struct Named<'a> {
    field: &'a str,
}

impl From<RegistrationError> for Problem {
    fn from(error: RegistrationError) -> Self {
        let message = error.to_string();
        match error {
            RegistrationError::Body(error) => error.into(),
            RegistrationError::MissingPrice(_) => Self::new(422, "missing_price", message),
            RegistrationError::FreeWithPrice => Self::new(422, "free_with_price", message),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::Unknown(_) | RegistryError::Inactive(_) => {
                Self::new(404, "unknown_provider", message)
            }
            RegistryError::Stale { expected, current } => Self::stale(message, expected, current),
            RegistryError::Sqlite(_) | RegistryError::Corrupt(_) => {
                tracing::error!(error = %message, "the registry failed");
                Self::new(503, "registry_unavailable", message).retry_after(5)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "reading the ledger failed");
        Self::new(503, "ledger_unavailable", "the ledger cannot be read").retry_after(5)
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let message = error.to_string();
        match error {
            ChangeError::Budget(BudgetError::Stale { expected, current }) => {
                Self::stale(message, expected, current)
            }
            ChangeError::Budget(BudgetError::LimitTooLarge(_)) => {
                Self::new(422, "amount_too_large", message)
            }
            ChangeError::Budget(error) => match error {
                BudgetError::UnknownRun(_) => Self::new(404, "unknown_run", message),
                BudgetError::ParentFixed(_) => Self::new(409, "parent_fixed", message).final_(),
                BudgetError::Circle(_) | BudgetError::TooDeep(_) => {
                    Self::new(422, "invalid_parent", message).final_()
                }
                BudgetError::WrongState { state, .. } => {
                    Self::new(409, state.refusal_code(), message).final_()
                }
                BudgetError::NoteRequired(_) => Self::new(422, "note_required", message),
                _ => Self::new(503, "ledger_unavailable", message).retry_after(5),
            },
            ChangeError::TooLarge(_) => Self::new(422, "amount_too_large", message),
            ChangeError::NotUnknown(_) => Self::new(404, "unknown_attempt", message),
            ChangeError::Outage(outage) => Self::outage(outage, message),
            ChangeError::Unavailable => {
                Self::new(503, "ledger_unavailable", message).retry_after(5)
            }
            ChangeError::Twin { .. } => Self::new(400, "invalid_run_id", message),
        }
    }
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        let message = error.to_string();
        match error {
            HoldError::Unbounded(_) => Self::new(422, "unbounded_request", message).final_(),
            HoldError::Refused { refusal, .. } => {
                let shortfall = refusal.shortfall();
                let problem = match refusal {
                    Refusal::Exhausted(_) => Self::new(402, "budget_exhausted", message).final_(),
                    Refusal::TooLarge(_) => {
                        let message = "its worst case is more than an account can count";
                        Self::new(422, "amount_too_large", message).final_()
                    }
                    Refusal::Contended(_) => {
                        Self::new(429, "budget_contended", message).retry_after(1)
                    }
                };
                problem.details(shortfall)
            }
            HoldError::Contended { shortfall, .. } => {
                Self::new(429, "budget_contended", message).retry_after(1).details(&shortfall)
            }
            HoldError::Unbudgeted(_) => Self::new(402, "budget_required", message).final_(),
            HoldError::State { state, .. } => {
                Self::new(409, state.refusal_code(), message).final_()
            }
            HoldError::Twin { .. } => Self::new(400, "invalid_run_id", message),
            HoldError::Repeated { code: code @ "idempotency_mismatch", .. } => {
                Self::new(422, code, message).final_()
            }
            HoldError::Repeated { code: code @ "request_in_progress", .. } => {
                Self::new(409, code, message).retry_after(1)
            }
            HoldError::Repeated { code, charged, run_id, request_id, .. } => {
                Self::new(409, code, message).final_().details(&Before {
                    run_id: run_id.as_str(),
                    request_id: request_id.as_str(),
                    cost_usd: charged,
                })
            }
            HoldError::Outage(outage) => Self::outage(outage, message),
            HoldError::Stopped(_) => Self::new(503, "ledger_unavailable", message).retry_after(60),
            HoldError::Overloaded => Self::new(503, "overloaded", message).retry_after(1),
            HoldError::Unavailable => Self::new(503, "ledger_unavailable", message).retry_after(5),
        }
    }
}

#[derive(serde::Serialize)]
struct Before<'a> {
    run_id: &'a str,
    request_id: &'a str,
    cost_usd: tollgate_shared::money::Usd,
}

impl From<FlightError> for Problem {
    fn from(error: FlightError) -> Self {
        let message = error.to_string();
        match error {
            FlightError::NoProvider(choice) => Self::no_provider(&choice),
            FlightError::Hold(error) => error.into(),
            FlightError::Upstream(attempts) => Self::upstream(&attempts),
            FlightError::Lost => Self::new(500, "lost", message).final_(),
        }
    }
}

#[derive(serde::Serialize)]
struct Attempts<'a> {
    attempts: Vec<AttemptFacts<'a>>,
}

#[derive(serde::Serialize)]
struct AttemptFacts<'a> {
    provider: &'a str,
    error: &'a str,
    status: Option<u16>,
    detail: &'a str,
}

impl Problem {
    /// The ledger cannot write for now.
    fn outage(outage: Outage, message: String) -> Self {
        match outage {
            Outage::Full => Self::new(507, "storage_low", message).retry_after(10),
            Outage::Locked => Self::new(503, "ledger_unavailable", message).retry_after(2),
        }
    }

    /// Somebody else changed it first.
    fn stale(message: String, expected: u64, current: u64) -> Self {
        Self::new(412, "version_mismatch", message).final_().details(&Versions {
            expected,
            current,
            now: None::<()>,
        })
    }

    /// Whether somebody else changed it first.
    pub(super) fn is_stale(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

    /// The same with what it is now, so that both values can be shown beside each other.
    pub(super) fn with_current<T: serde::Serialize>(self, now: &T) -> Self {
        let versions: Option<Versions<()>> =
            self.details.as_ref().and_then(|details| serde_json::from_str(details.get()).ok());
        let Some(Versions { expected, current, .. }) = versions else { return self };
        self.details(&Versions { expected, current, now: Some(now) })
    }

    /// Nobody fits: everyone's reason.
    pub fn no_provider(choice: &Choice) -> Self {
        #[derive(serde::Serialize)]
        struct Rejected {
            rejected: Vec<RejectedProvider>,
        }
        let rejected = rejected_of(choice);
        let message = match rejected.len() {
            0 => "no provider is registered".to_owned(),
            count => format!("none of {count} providers fits; `details.rejected` says why"),
        };
        Self::new(404, "no_provider", message).final_().details(&Rejected { rejected })
    }

    /// Every candidate failed: the last one decides the status, all are told.
    fn upstream(attempts: &[AttemptError]) -> Self {
        let last = attempts.last();
        let word = last.map_or("unknown", |attempt| attempt.word.as_str());
        let message = format!("{} attempt(s) failed, the last with {word}", attempts.len());
        let problem = match last.map(|attempt| (attempt.word.as_str(), attempt.status)) {
            Some(("untranslatable", _)) => Self::new(422, "untranslatable", message).final_(),
            Some((_, Some(status @ (400 | 413 | 422)))) => {
                Self::new(status, "rejected_by_provider", message).final_()
            }
            Some((_, Some(429))) => Self::new(503, "providers_busy", message).retry_after(2),
            Some(("timeout", _)) => Self::new(504, "upstream_timeout", message).final_(),
            _ => Self::new(502, "upstream_failed", message).final_(),
        };
        let attempts = attempts
            .iter()
            .map(|attempt| AttemptFacts {
                provider: attempt.provider.as_str(),
                error: &attempt.word,
                status: attempt.status,
                detail: &attempt.detail,
            })
            .collect();
        problem.details(&Attempts { attempts })
    }
}

/// Everyone who does not fit, with the reason.
pub(super) fn rejected_of(choice: &Choice) -> Vec<RejectedProvider> {
    let name = |index: usize| choice.entries[index].registration.name.clone();
    choice
        .plan
        .rejected
        .iter()
        .map(|(index, reason)| RejectedProvider {
            name: name(*index),
            reason: reason.reason().to_owned(),
            detail: reason.to_string(),
        })
        .collect()
}
