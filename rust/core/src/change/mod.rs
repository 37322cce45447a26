//! Changes of endpoints: from bytes that clients sent to what is stored and told. No I/O, no clock.
//!
//! ```text
//! parse/         JSON text to values             fault.rs                   what is wrong with it
//! value.rs       a value on its way into the store
//! command.rs     what can be asked              rules.rs preconditions.rs  what is refused (refusal.rs)
//! stored.rs      a raw document, taken apart    state.rs metadata.rs       what it is between two commands
//! patch/         JSON Patch
//! apply.rs       what a command makes of it     diff.rs event.rs           and what tells of that
//! statement.rs   the conditional write          outbox.rs                  the events and the claim in it
//! plan.rs        all of it, for one endpoint    work.rs                    what goes into it and comes out
//! shown.rs       a document as REST shows it
//! ```

mod apply;
mod command;
mod diff;
mod event;
mod fault;
mod metadata;
mod outbox;
pub mod parse;
mod patch;
mod plan;
mod preconditions;
mod refusal;
mod rules;
mod shown;
mod state;
mod statement;
mod stored;
mod unique;
mod value;
mod work;

pub use command::{Command, NewNames, Values};
pub use event::Outgoing;
pub use fault::{Fault, Reason};
pub use metadata::{Item, Metadata};
pub use outbox::{Claim, kind_text};
pub use patch::{Patch, PatchLimits, Patched};
pub use plan::{Planner, check};
pub use refusal::Refusal;
pub use rules::{Matches, Rules};
pub use shown::View;
pub use value::RawValue;
pub use work::{Outcome, Planned, Request, Show, Status, Work, Write};
