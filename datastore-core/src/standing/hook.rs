//! Whether the hooks of a mapping can be run. It is asked before a bind: of what is bound, hooks have run already.

use crate::hook::{Hook, Scope, When};
use crate::mapping::Mapping;
use crate::observed::HookFacts;
use crate::standing::View;
use crate::state::{Reason, Refusal};

impl<'a> View<'a> {
    /// The hooks that run around the bind of a mapping: those of its app and its own.
    pub fn hooks_of(&self, m: &'a Mapping) -> impl Iterator<Item = (Scope, When, &'a Hook)> {
        let app = self.wanted.app(&m.app).filter(|app| app.has_hooks);
        let of_app = app.into_iter().flat_map(|app| app.hooks.iter()).map(|(when, hook)| (Scope::App, when, hook));
        of_app.chain(m.hooks.iter().map(|(when, hook)| (Scope::Mapping, when, hook)))
    }

    /// Whether a hook is not there and need not be.
    #[must_use]
    pub fn is_passed_over(&self, hook: &Hook) -> bool {
        hook.optional && matches!(self.observed.hooks.get(&hook.program), Some(HookFacts::Absent(_)))
    }

    /// Refuses a mapping that has a hook which cannot be run.
    ///
    /// # Errors
    /// [`Reason::ConfigUnsafe`] if somebody other than root decides what would run, [`Reason::HookFailed`] if nothing would.
    pub fn judge_hooks(&self, m: &'a Mapping) -> Result<(), Refusal> {
        for (_, when, hook) in self.hooks_of(m) {
            let program = &hook.program;
            let what = format!("the {when} hook {program}");
            let again = format!("datastore start {}", m.app);
            match self.observed.hooks.get(program) {
                None | Some(HookFacts::Fit | HookFacts::Hidden) => {}
                Some(HookFacts::Absent(_)) if hook.optional => {}
                Some(HookFacts::Absent(missing)) => {
                    let which = if missing == program { String::new() } else { format!(": there is no {missing}") };
                    let detail = format!("{what} does not exist{which}");
                    let hint = format!(
                        "install it, or take it out of the configlet, or write \"-{program}\" if it may be missing; then: {again}"
                    );
                    return Err(Refusal::new(Reason::HookFailed, detail, hint));
                }
                Some(HookFacts::Unfit(why)) => {
                    let hint = format!("ls -ld {program}; put a program there (chmod 0755), then: {again}");
                    return Err(Refusal::new(Reason::HookFailed, format!("{what} cannot be run: {why}"), hint));
                }
                Some(HookFacts::Unsafe(why)) => {
                    let detail = format!("{what} could be changed by somebody other than root: {why}");
                    let hint = format!(
                        "look at it and at the directories above it, then: chown root {program} && chmod go-w {program}; \
                         then: {again}"
                    );
                    return Err(Refusal::new(Reason::ConfigUnsafe, detail, hint));
                }
            }
        }
        Ok(())
    }
}
