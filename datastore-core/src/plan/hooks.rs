//! Hooks among the binds of a plan. They run only around binds that the plan makes: a plan that has nothing to do runs none.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Remark, Subject};
use crate::hook::{Hook, HookBind, HookRun, Scope, When};
use crate::mapping::Mapping;
use crate::path::AbsPath;
use crate::standing::View;
use crate::step::{Action, Step};
use crate::value::{AppName, Id};

/// The steps around the binds.
pub(super) struct Woven {
    /// Premount hooks. They come before fstab is written: what a crash or a failure leaves is not bound at the next boot.
    pub(super) before: Vec<Step>,
    /// The binds with the postmount hooks among them.
    pub(super) binds: Vec<Step>,
    /// Hooks that are passed over.
    pub(super) remarks: Vec<Remark>,
}

/// One bind of the plan.
struct Bound<'a> {
    mapping: &'a Mapping,
    bind: HookBind,
}

/// Puts hooks around the binds among `steps`. `made` are the directories that the plan makes.
pub(super) fn weave(view: &View<'_>, subjects: &[Subject], made: &HashSet<AbsPath>, steps: Vec<Step>) -> Woven {
    let mut woven = Woven { before: Vec::new(), binds: Vec::new(), remarks: Vec::new() };
    if !view.wanted.apps.iter().any(|app| app.has_hooks) {
        woven.binds = steps;
        return woven;
    }
    let fresh: HashSet<Id> = view.observed.unfinished.iter().flat_map(|u| &u.makes).copied().collect();
    let bound: Vec<Option<Bound<'_>>> = steps.iter().map(|step| bound(view, subjects, made, &fresh, step)).collect();
    let mut of_app: HashMap<&AppName, Vec<HookBind>> = HashMap::new();
    for Bound { mapping, bind } in bound.iter().flatten() {
        of_app.entry(&mapping.app).or_default().push(bind.clone());
    }
    let mut missing = BTreeSet::new();
    let mut run = |m: &Mapping, scope: Scope, when: When, binds: Vec<HookBind>| {
        let app = view.wanted.app(&m.app)?;
        let hook: &Hook = if scope == Scope::App { app.hooks.at(when)? } else { m.hooks.at(when)? };
        if view.is_passed_over(hook) {
            missing.insert((m.app.clone(), when.to_string(), hook.program.clone()));
            return None;
        }
        let mapping = if scope == Scope::App { None } else { binds.first().map(|b| b.mapping) };
        let run = HookRun {
            program: hook.program.clone(),
            when,
            scope,
            app: m.app.clone(),
            host: view.wanted.host.clone(),
            seconds: app.hook_seconds,
            binds,
        };
        Some(Step { mapping, action: Action::RunHook(Box::new(run)) })
    };
    let mut to_come: HashMap<&AppName, usize> = of_app.iter().map(|(app, binds)| (*app, binds.len())).collect();
    for (step, bound) in steps.into_iter().zip(&bound) {
        let Some(Bound { mapping: m, bind }) = bound else {
            woven.binds.push(step);
            continue;
        };
        let all = &of_app[&m.app];
        let left = to_come.get_mut(&m.app).expect("counted above");
        if *left == all.len() {
            woven.before.extend(run(m, Scope::App, When::Premount, all.clone()));
        }
        *left -= 1;
        woven.before.extend(run(m, Scope::Mapping, When::Premount, vec![bind.clone()]));
        woven.binds.push(step);
        woven.binds.extend(run(m, Scope::Mapping, When::Postmount, vec![bind.clone()]));
        if *left == 0 {
            woven.binds.extend(run(m, Scope::App, When::Postmount, all.clone()));
        }
    }
    woven.remarks.extend(missing.into_iter().map(|(app, when, program)| Remark {
        detail: format!(
            "the {when} hook {program} of `{app}` is not there and is passed over: its `-` says that it may be missing"
        ),
        hint: String::new(),
    }));
    woven
}

/// What a hook is told of the bind that a step makes; `None` for other steps.
fn bound<'a>(
    view: &View<'a>,
    subjects: &[Subject],
    made: &HashSet<AbsPath>,
    fresh: &HashSet<Id>,
    step: &Step,
) -> Option<Bound<'a>> {
    let (Action::Bind { mount_point, store, id, .. }, Some(number)) = (&step.action, step.mapping) else { return None };
    let app = &subjects.get(number as usize)?.app;
    let which = view.wanted.at(mount_point).iter().find(|&&i| view.wanted.mappings[i].app == *app)?;
    let mapping = &view.wanted.mappings[*which];
    let new_store = made.contains(store) || id.is_some_and(|id| fresh.contains(&id));
    let volume = mapping.volume.clone();
    let bind = HookBind { mapping: number, mount_point: mount_point.clone(), store: store.clone(), volume, new_store };
    Some(Bound { mapping, bind })
}
