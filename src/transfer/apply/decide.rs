//! What happens to a row that an answer names: the decision table, without the database.
//!
//! | here | created or updated there | deleted there | not named by an answer of all rows | cleared before the rows come |
//! |---|---|---|---|---|
//! | clean: no row, or nothing pending | stored: inserted, or written where it differs | goes | goes | goes |
//! | created here | by the policy | goes, or by the policy: a conflict | stays | stays |
//! | updated here | by the policy | goes, or by the policy: a conflict | the same | stays |
//! | deleted here | created: brought back, a conflict; updated: stays deleted, a conflict | settled | settled | stays |
//! | withdrawn: deleted here, a push may have created it there | the same, and the server knows it | settled | settled | stays |
//! | undone: created and deleted here, never sent | inserted | settled | stays | stays |
//!
//! Where keys are counted here, two rows created on two devices can have the same number. One that comes and is not what
//! was pushed of the row here is another row: the one created here takes a new number, one deleted here stays deleted
//! and the other comes, and a delete of the number is not about the row here. One that was deleted here and made again, and
//! meets one that was edited there, is such a row too: SQLite has given the number of a deleted row again.
//!
//! What was pushed comes back with the next pull. Such an echo never undoes what was done here since: a row stays
//! deleted, one created again stays, and columns changed since stay without a conflict. The same goes for an answer that
//! repeats what was pulled before; but where all rows come again, nobody can tell whether one that was deleted here was edited
//! there, so that it is a conflict too. A row that shows that a push of unknown outcome did arrive settles it.

use super::effects::Effect;
use crate::transfer::conflict::record::Kind;

/// What is here of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// Nothing of it is pending; whether there is a row shows when it is written.
    Clean,
    Created,
    Updated,
    Deleted,
    /// Deleted here; a push of unknown outcome may have created it on the server.
    Withdrawn,
    /// Created and deleted here, and never sent.
    Undone,
}

/// What the answer says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    Created,
    Updated,
    Deleted,
    /// The answer names all rows there are, and not this one.
    Unnamed,
    /// Rows are to go before those of the answer come, and this is one of them.
    Cleared,
}

/// What the answer shows of a push of unknown outcome that carried the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// There was none.
    None,
    /// The row comes otherwise than it was sent, or is not said to be there. `created`: that push created it.
    Differs { created: bool, upto: i64 },
    /// The row comes as it was sent: the push has arrived.
    Arrived { upto: i64, edited_since: bool },
}

/// How a table's rows are applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Rows that were pulled before come again.
    pub redelivers: bool,
    /// All rows come again, as created: one that was edited there since is among them, and does not say so.
    pub all_again: bool,
    /// A row created here stays when the server deletes it.
    pub keep_created: bool,
    /// Rows that are not here may be announced as updated.
    pub created_as_updated: bool,
    /// The policy wants to see every row that is here and would be written.
    pub asks_always: bool,
    /// The policy decides about rows changed here that are deleted there.
    pub asks_for_deletes: bool,
    /// Keys are counted here: a row of another device may have the same.
    pub counted: bool,
}

/// A row of an answer, and everything that matters about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub local: Local,
    pub remote: Remote,
    pub push: Push,
    /// It comes as it was pushed last.
    pub echo: bool,
    /// It differs from the row here.
    pub differs: bool,
    /// The row here was made after the delete that the server speaks of, which is about the log up to this entry.
    pub made_after: Option<i64>,
    /// Its version is not above the one that is here.
    pub old: bool,
    /// It was held: the edits that wait were decided against it when it came, or made since.
    pub held: bool,
    pub rules: Rules,
}

impl Case {
    /// A row with nothing pending.
    pub fn clean(remote: Remote, rules: Rules) -> Self {
        Self {
            local: Local::Clean,
            remote,
            push: Push::None,
            echo: false,
            differs: false,
            made_after: None,
            old: false,
            held: false,
            rules,
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing is written.
    Keep,
    /// It is inserted, or written where it differs.
    Store,
    /// It is inserted: there is none.
    Insert,
    /// The row created here is another one, and takes a new number; this one comes to its place.
    Rekey,
    /// Columns that wait to be sent stay, the others are the server's.
    Merge,
    /// The entity's policy says which columns stay.
    Ask,
    /// It goes.
    Delete,
}

/// What happens to a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub action: Action,
    /// The conflict to record.
    pub conflict: Option<Kind>,
    /// What it means for the log. The policy may add to it.
    pub effect: Effect,
}

/// The decision table.
pub fn decide(case: &Case) -> Decision {
    use Local::{Clean, Created, Deleted, Undone, Updated, Withdrawn};
    if case.old {
        return decision(Action::Keep);
    }
    match (case.local, case.remote) {
        (Clean, Remote::Created | Remote::Updated) => decision(written(case)),
        (Clean, _) => decision(Action::Delete).with(Effect::Settled),

        (Created, Remote::Created | Remote::Updated) if is_anothers(case) => {
            decision(Action::Rekey)
        }
        (Withdrawn, Remote::Created | Remote::Updated) if is_anothers(case) => {
            let inserted = decision(Action::Insert).with(Effect::Settled);
            inserted.recorded(Kind::DeletedHere)
        }
        (Created, Remote::Deleted) if case.rules.counted && case.push == Push::None => {
            decision(Action::Keep).with(match case.made_after {
                Some(upto) => Effect::SettledUpTo(upto),
                None => Effect::Stays,
            })
        }
        (Created | Updated, Remote::Created | Remote::Updated) => meet_edited(case),
        (Deleted | Withdrawn, Remote::Created | Remote::Updated) => meet_deleted(case),
        (Undone, Remote::Created | Remote::Updated) => {
            decision(Action::Insert).with(Effect::Settled)
        }

        (Created | Updated, Remote::Deleted) => meet_delete(case),
        (Deleted | Withdrawn | Undone, Remote::Deleted) => {
            decision(Action::Keep).with(Effect::Settled)
        }

        (Updated, Remote::Unnamed) if case.rules.asks_for_deletes => {
            decision(Action::Ask).recorded(Kind::DeletedRemotely)
        }
        (Updated, Remote::Unnamed) => delete_edited(),
        (Created | Undone, Remote::Unnamed) => decision(Action::Keep),
        (Deleted | Withdrawn, Remote::Unnamed) => decision(Action::Keep).with(Effect::Settled),

        (_, Remote::Cleared) => decision(Action::Keep),
    }
}

/// What happens to a row of which nothing waits.
fn written(case: &Case) -> Action {
    match case.rules.asks_always {
        true => Action::Ask,
        false => Action::Store,
    }
}

/// Whether a row with the number of one made here is another row: it is not what was pushed of that.
fn is_anothers(case: &Case) -> bool {
    let is_ours = case.echo || matches!(case.push, Push::Arrived { .. });
    case.rules.counted && !is_ours
}

/// Whether a row that was deleted here, and made again under its number, is another one than that of the server: this was
/// edited there, and is neither what was sent from here nor what was pulled before. Without such a clash the number was used
/// again by everybody's leave.
pub fn is_number_used_again(case: &Case) -> bool {
    let comes = matches!(case.remote, Remote::Created | Remote::Updated);
    let is_sent = case.echo || case.push != Push::None;
    let is_known = case.old || case.held || case.rules.redelivers || case.rules.all_again;
    let is_edited = comes && case.differs && !is_sent && !is_known;
    case.local == Local::Updated && case.rules.counted && is_edited
}

/// A row of the server over one created or updated here.
fn meet_edited(case: &Case) -> Decision {
    let created = case.local == Local::Created;
    let effect = match case.push {
        Push::Arrived {
            edited_since: false,
            ..
        } => {
            // It is as if nobody had edited it.
            return decision(written(case)).with(Effect::Settled);
        }
        Push::Arrived { upto, .. } => Effect::SettledUpTo(upto),
        Push::Differs {
            created: true,
            upto,
        } => Effect::Known(upto),
        Push::Differs { .. } | Push::None if created => Effect::There,
        Push::Differs { .. } | Push::None => Effect::Stays,
    };
    // Our own row coming back is no statement of the server against the edits made since.
    let echo = case.echo && case.differs && !case.rules.asks_always;
    let echo = echo || (case.held && !created);
    let met = decision(match echo {
        true => Action::Merge,
        false => Action::Ask,
    });
    match case.differs && !echo {
        true => met.with(effect).recorded(Kind::Edited),
        false => met.with(effect),
    }
}

/// A row of the server that was deleted here.
fn meet_deleted(case: &Case) -> Decision {
    let created = case.remote == Remote::Created;
    // Where rows come again, one that was created before it was deleted here says nothing new.
    if created && !case.echo && !case.rules.redelivers {
        let revived = decision(Action::Insert).with(Effect::Settled);
        return revived.recorded(Kind::DeletedHere);
    }
    // A withdrawn row did arrive: from now on this is an ordinary delete of a known row.
    let stays = decision(Action::Keep).with(match (case.local, case.push) {
        (Local::Withdrawn, Push::Differs { upto, .. } | Push::Arrived { upto, .. }) => {
            Effect::Known(upto)
        }
        _ => Effect::Stays,
    });
    let is_news = !created || case.rules.all_again;
    match case.echo || !is_news {
        true => stays,
        false => stays.recorded(Kind::DeletedHere),
    }
}

/// A delete of the server over a row created or updated here.
fn meet_delete(case: &Case) -> Decision {
    if let Some(upto) = case.made_after {
        return decision(Action::Keep).with(Effect::SettledUpTo(upto));
    }
    let unsent = case.local == Local::Created && case.push == Push::None;
    if unsent && case.rules.keep_created {
        return decision(Action::Keep).recorded(Kind::DeletedRemotely);
    }
    if case.rules.asks_for_deletes {
        return decision(Action::Ask).recorded(Kind::DeletedRemotely);
    }
    delete_edited()
}

fn delete_edited() -> Decision {
    let deleted = decision(Action::Delete).with(Effect::Settled);
    deleted.recorded(Kind::DeletedRemotely)
}

fn decision(action: Action) -> Decision {
    Decision {
        action,
        conflict: None,
        effect: Effect::Stays,
    }
}

impl Decision {
    fn with(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    fn recorded(self, kind: Kind) -> Self {
        Self {
            conflict: Some(kind),
            ..self
        }
    }
}

/// What came of writing a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Inserted,
    /// A trigger of the application ignored it.
    Ignored,
    /// It was there, and a trigger of the application ignored that it is otherwise now.
    IgnoredHere,
    Updated,
    /// It was there as it came.
    Unchanged,
}

/// Whether the server announced as created what was here, or as updated what was not.
pub fn is_announced_wrongly(case: &Case, action: Action, written: Written) -> bool {
    match (case.remote, case.local) {
        (Remote::Created, Local::Clean) => match written {
            Written::Updated | Written::IgnoredHere => true,
            Written::Unchanged => !case.rules.redelivers,
            Written::Inserted | Written::Ignored => false,
        },
        (Remote::Updated, Local::Clean) => {
            let absent = matches!(written, Written::Inserted | Written::Ignored);
            absent && !case.rules.created_as_updated
        }
        (Remote::Created, Local::Created | Local::Updated) => {
            matches!(action, Action::Ask | Action::Merge)
        }
        (Remote::Created, Local::Deleted | Local::Withdrawn) => action == Action::Insert,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use Action::{Ask, Delete, Insert, Keep, Merge, Rekey, Store};
    use Effect::{Known, Settled, SettledUpTo, Stays, There};
    use Local::{Clean, Created, Deleted, Undone, Updated, Withdrawn};
    use Remote::{Cleared, Unnamed};

    const NOT_SENT: Push = Push::None;
    const AS_CREATED: Push = Push::Differs {
        created: true,
        upto: 7,
    };
    const AS_UPDATED: Push = Push::Differs {
        created: false,
        upto: 7,
    };
    const ARRIVED: Push = Push::Arrived {
        upto: 7,
        edited_since: false,
    };
    const OVERTAKEN: Push = Push::Arrived {
        upto: 7,
        edited_since: true,
    };

    const LOCALS: &[Local] = &[Clean, Created, Updated, Deleted, Withdrawn, Undone];
    const REMOTES: &[Remote] = &[
        Remote::Created,
        Remote::Updated,
        Remote::Deleted,
        Unnamed,
        Cleared,
    ];
    const PUSHES: &[Push] = &[NOT_SENT, AS_CREATED, AS_UPDATED, ARRIVED, OVERTAKEN];

    const EDITED: &[Local] = &[Created, Updated];
    const NEWS: &[Remote] = &[Remote::Created, Remote::Updated];
    const GONE: &[Remote] = &[Remote::Deleted];
    const SENT: &[Push] = &[AS_CREATED, AS_UPDATED, ARRIVED, OVERTAKEN];
    const UNPROVEN: &[Push] = &[NOT_SENT, AS_UPDATED];

    /// One line: what is here, what comes, what is shown of a push, and when; then what is done, the conflict
    /// recorded, the effect on the log.
    struct Line(
        &'static [Local],
        &'static [Remote],
        &'static [Push],
        When,
        Action,
        Option<Kind>,
        Effect,
    );
    type When = fn(&Case) -> bool;

    const ALWAYS: When = |_| true;
    const ASKED: When = |case| case.rules.asks_always;
    const NOT_ASKED: When = |case| !case.rules.asks_always;
    const EQUAL: When = |case| !case.differs;
    const ECHO: When = |case| case.differs && case.echo && !case.rules.asks_always;
    const OTHER: When = |case| case.differs && (!case.echo || case.rules.asks_always);
    const OURS: When = |case| case.echo;
    const THEIRS: When = |case| !case.echo;
    const NEW: When = |case| !case.echo && !case.rules.redelivers;
    const OLD: When = |case| case.echo || (case.rules.redelivers && !case.rules.all_again);
    const PERHAPS: When = |case| !case.echo && case.rules.redelivers && case.rules.all_again;
    const MADE_AFTER: When = |case| case.made_after.is_some();
    const MADE_BEFORE: When = |case| case.made_after.is_none() && !case.rules.asks_for_deletes;
    const MADE_BEFORE_ASKED: When = |case| case.made_after.is_none() && case.rules.asks_for_deletes;
    const KEPT: When = |case| case.made_after.is_none() && case.rules.keep_created;
    const NOT_KEPT: When = |case| {
        let rules = case.rules;
        case.made_after.is_none() && !rules.keep_created && !rules.asks_for_deletes
    };
    const NOT_KEPT_ASKED: When = |case| {
        let rules = case.rules;
        case.made_after.is_none() && !rules.keep_created && rules.asks_for_deletes
    };

    const COUNTED: When = |case| case.rules.counted;
    const COUNTED_BEFORE: When = |case| case.rules.counted && case.made_after.is_none();
    const COUNTED_AFTER: When = |case| case.rules.counted && case.made_after.is_some();

    const CONFLICT: Option<Kind> = Some(Kind::Edited);
    const HERE: Option<Kind> = Some(Kind::DeletedHere);
    const THERE: Option<Kind> = Some(Kind::DeletedRemotely);

    #[rustfmt::skip]
    const TABLE: &[Line] = &[
        Line(&[Clean], NEWS, PUSHES, NOT_ASKED, Store, None, Stays),
        Line(&[Clean], NEWS, PUSHES, ASKED, Ask, None, Stays),
        Line(&[Clean], &[Remote::Deleted, Unnamed, Cleared], PUSHES, ALWAYS, Delete, None, Settled),

        Line(EDITED, NEWS, &[ARRIVED], NOT_ASKED, Store, None, Settled),
        Line(EDITED, NEWS, &[ARRIVED], ASKED, Ask, None, Settled),
        Line(&[Created], NEWS, UNPROVEN, EQUAL, Ask, None, There),
        Line(&[Created], NEWS, UNPROVEN, ECHO, Merge, None, There),
        Line(&[Created], NEWS, UNPROVEN, OTHER, Ask, CONFLICT, There),
        Line(&[Updated], NEWS, UNPROVEN, EQUAL, Ask, None, Stays),
        Line(&[Updated], NEWS, UNPROVEN, ECHO, Merge, None, Stays),
        Line(&[Updated], NEWS, UNPROVEN, OTHER, Ask, CONFLICT, Stays),
        Line(EDITED, NEWS, &[AS_CREATED], EQUAL, Ask, None, Known(7)),
        Line(EDITED, NEWS, &[AS_CREATED], ECHO, Merge, None, Known(7)),
        Line(EDITED, NEWS, &[AS_CREATED], OTHER, Ask, CONFLICT, Known(7)),
        Line(EDITED, NEWS, &[OVERTAKEN], EQUAL, Ask, None, SettledUpTo(7)),
        Line(EDITED, NEWS, &[OVERTAKEN], ECHO, Merge, None, SettledUpTo(7)),
        Line(EDITED, NEWS, &[OVERTAKEN], OTHER, Ask, CONFLICT, SettledUpTo(7)),

        Line(&[Deleted, Withdrawn], &[Remote::Created], PUSHES, NEW, Insert, HERE, Settled),
        Line(&[Deleted], &[Remote::Created], PUSHES, OLD, Keep, None, Stays),
        Line(&[Deleted], &[Remote::Created], PUSHES, PERHAPS, Keep, HERE, Stays),
        Line(&[Deleted], &[Remote::Updated], PUSHES, OURS, Keep, None, Stays),
        Line(&[Deleted], &[Remote::Updated], PUSHES, THEIRS, Keep, HERE, Stays),
        Line(&[Withdrawn], &[Remote::Created], SENT, OLD, Keep, None, Known(7)),
        Line(&[Withdrawn], &[Remote::Created], SENT, PERHAPS, Keep, HERE, Known(7)),
        Line(&[Withdrawn], &[Remote::Updated], SENT, OURS, Keep, None, Known(7)),
        Line(&[Withdrawn], &[Remote::Updated], SENT, THEIRS, Keep, HERE, Known(7)),
        Line(&[Withdrawn], &[Remote::Created], &[NOT_SENT], OLD, Keep, None, Stays),
        Line(&[Withdrawn], &[Remote::Created], &[NOT_SENT], PERHAPS, Keep, HERE, Stays),
        Line(&[Withdrawn], &[Remote::Updated], &[NOT_SENT], OURS, Keep, None, Stays),
        Line(&[Withdrawn], &[Remote::Updated], &[NOT_SENT], THEIRS, Keep, HERE, Stays),
        Line(&[Undone], NEWS, PUSHES, ALWAYS, Insert, None, Settled),

        Line(EDITED, GONE, PUSHES, MADE_AFTER, Keep, None, SettledUpTo(3)),
        Line(&[Created], GONE, &[NOT_SENT], KEPT, Keep, THERE, Stays),
        Line(&[Created], GONE, &[NOT_SENT], NOT_KEPT, Delete, THERE, Settled),
        Line(&[Created], GONE, &[NOT_SENT], NOT_KEPT_ASKED, Ask, THERE, Stays),
        Line(&[Created], GONE, SENT, MADE_BEFORE, Delete, THERE, Settled),
        Line(&[Created], GONE, SENT, MADE_BEFORE_ASKED, Ask, THERE, Stays),
        Line(&[Updated], GONE, PUSHES, MADE_BEFORE, Delete, THERE, Settled),
        Line(&[Updated], GONE, PUSHES, MADE_BEFORE_ASKED, Ask, THERE, Stays),
        Line(&[Deleted, Withdrawn, Undone], GONE, PUSHES, ALWAYS, Keep, None, Settled),

        Line(&[Updated], &[Unnamed], PUSHES, |case| case.rules.asks_for_deletes, Ask, THERE, Stays),
        Line(&[Updated], &[Unnamed], PUSHES, |case| !case.rules.asks_for_deletes, Delete, THERE, Settled),
        Line(&[Created, Undone], &[Unnamed], PUSHES, ALWAYS, Keep, None, Stays),
        Line(&[Deleted, Withdrawn], &[Unnamed], PUSHES, ALWAYS, Keep, None, Settled),

        Line(&[Created, Updated, Deleted, Withdrawn, Undone], &[Cleared], PUSHES, ALWAYS, Keep, None, Stays),
    ];

    /// Where counted keys make a difference.
    #[rustfmt::skip]
    const COUNTED_TABLE: &[Line] = &[
        Line(&[Created], NEWS, PUSHES, COUNTED, Rekey, None, Stays),
        Line(&[Withdrawn], NEWS, PUSHES, COUNTED, Insert, HERE, Settled),
        Line(&[Created], GONE, &[NOT_SENT], COUNTED_BEFORE, Keep, None, Stays),
        Line(&[Created], GONE, &[NOT_SENT], COUNTED_AFTER, Keep, None, SettledUpTo(3)),
    ];

    fn is_special(case: &Case) -> bool {
        let ours = case.echo || [ARRIVED, OVERTAKEN].contains(&case.push);
        match case.local {
            Created if GONE.contains(&case.remote) => case.push == NOT_SENT,
            Created | Withdrawn => NEWS.contains(&case.remote) && !ours,
            _ => false,
        }
    }

    fn every_case() -> Vec<Case> {
        let mut cases = Vec::new();
        for bits in 0..1 << 11 {
            let bit = |place: u32| bits >> place & 1 == 1;
            for (local, remote, push) in LOCALS.iter().flat_map(|local| {
                REMOTES
                    .iter()
                    .flat_map(move |remote| PUSHES.iter().map(move |push| (*local, *remote, *push)))
            }) {
                cases.push(Case {
                    local,
                    remote,
                    push,
                    echo: bit(0),
                    differs: bit(1),
                    made_after: bit(2).then_some(3),
                    old: bit(3),
                    held: false,
                    rules: Rules {
                        redelivers: bit(4),
                        keep_created: bit(5),
                        created_as_updated: bit(6),
                        asks_always: bit(7),
                        counted: bit(8),
                        asks_for_deletes: bit(9),
                        all_again: bit(10),
                    },
                });
            }
        }
        cases
    }

    #[test]
    fn every_case_is_decided_as_one_line_of_the_table_says() {
        let cases = every_case();
        assert_eq!(cases.len(), 6 * 5 * 5 * 2048);
        let mut used = vec![0; TABLE.len()];
        for case in &cases {
            let decision = decide(case);
            if case.old {
                let nothing = (Keep, None, Stays);
                assert_eq!(
                    (decision.action, decision.conflict, decision.effect),
                    nothing,
                    "{case:?}"
                );
                continue;
            }
            let table = match case.rules.counted && is_special(case) {
                true => COUNTED_TABLE,
                false => TABLE,
            };
            let lines = table.iter().enumerate().filter(|(_, line)| {
                line.0.contains(&case.local)
                    && line.1.contains(&case.remote)
                    && line.2.contains(&case.push)
                    && (line.3)(case)
            });
            let lines: Vec<usize> = lines.map(|(number, _)| number).collect();
            assert_eq!(lines.len(), 1, "{case:?} matches the lines {lines:?}");
            let Line(_, _, _, _, action, conflict, effect) = &table[lines[0]];
            let expected = (*action, *conflict, effect.clone());
            assert_eq!(
                (decision.action, decision.conflict, decision.effect),
                expected,
                "{case:?}"
            );
            if std::ptr::eq(table, TABLE) {
                used[lines[0]] += 1;
            }
        }
        assert!(used.iter().all(|times| *times > 0), "{used:?}");
    }

    /// Whatever comes, what waits to be sent is never dropped in silence.
    #[test]
    fn an_edit_goes_only_with_a_conflict_or_where_it_has_arrived() {
        for case in every_case() {
            let decision = decide(&case);
            let edited = EDITED.contains(&case.local);
            if edited && decision.action == Delete {
                assert_eq!(decision.conflict, THERE, "{case:?}");
            }
            if edited && decision.effect == Settled && decision.action != Delete {
                assert_eq!(case.push, ARRIVED, "{case:?}");
            }
            if case.local == Deleted && decision.action == Insert {
                assert_eq!(decision.conflict, HERE, "{case:?}");
            }
        }
    }

    #[test]
    fn rows_are_announced_wrongly_when_they_are_not_what_was_said() {
        use Written::{Ignored, IgnoredHere, Inserted, Unchanged, Updated};
        let all = [Inserted, Ignored, Updated, Unchanged, IgnoredHere];
        for case in every_case() {
            let action = decide(&case).action;
            let wrong = all.map(|written| is_announced_wrongly(&case, action, written));
            let rules = case.rules;
            let expected = match (case.remote, case.local) {
                (Remote::Created, Clean) => [false, false, true, !rules.redelivers, true],
                (Remote::Updated, Clean) => {
                    let absent = !rules.created_as_updated;
                    [absent, absent, false, false, false]
                }
                (Remote::Created, Local::Created | Local::Updated) => {
                    [matches!(action, Ask | Merge); 5]
                }
                (Remote::Created, Deleted | Withdrawn) => [action == Insert; 5],
                _ => [false; 5],
            };
            assert_eq!(wrong, expected, "{case:?}");
        }
    }
}
