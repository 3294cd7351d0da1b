//! All functions that the operations of a document give.

use std::collections::HashSet;

use super::changes;
use super::operation::{Operation, index, item_of};
use super::reading::reading;
use super::request::checked;
use crate::providers::imported::{Imported, Omitted};

/// Makes all functions that can be made.
pub fn functions(mut operations: Vec<Operation>, prefix: &str, imported: &mut Imported) {
    let mut ids = HashSet::new();
    for operation in &mut operations {
        if !ids.insert(operation.id.clone()) {
            operation.id = free(&ids, operation.place());
            ids.insert(operation.id.clone());
        }
    }
    let index = index(&operations);
    let mut claimed: HashSet<usize> = HashSet::new();
    for operation in operations.iter().filter(|one| one.method == "GET") {
        let made = reading(operation, item_of(operation, &index, &operations), prefix).and_then(
            |mut reading| {
                let writes = changes::of(operation, &reading, prefix, &index, &operations);
                if let Some(writes) = &writes {
                    reading
                        .definition
                        .insert("writes".into(), writes.named.clone());
                }
                Ok((
                    checked(&operation.id, reading.definition)?,
                    reading.notes,
                    writes,
                ))
            },
        );
        match made {
            Ok((made, notes, writes)) => {
                let place = operation.place();
                imported.functions.push(made);
                imported.notes.extend(notes.into_iter().map(|why| Omitted {
                    what: place.clone(),
                    why,
                }));
                for change in writes.into_iter().flat_map(|writes| writes.functions) {
                    // Several functions that read can have the same that send.
                    if claimed.insert(change.number) {
                        imported.functions.push(change.made);
                        imported.notes.extend(change.notes);
                    }
                }
            }
            Err(why) => imported.left_out.push(Omitted {
                what: operation.place(),
                why,
            }),
        }
    }
    let roles = changes::roles(&operations, &index);
    for (number, operation) in operations.iter().enumerate() {
        if operation.method != "GET" && !claimed.contains(&number) {
            imported.left_out.push(Omitted {
                what: operation.place(),
                why: changes::why_not(
                    operation,
                    roles.get(&number),
                    prefix,
                    (&index, &operations),
                    &claimed,
                ),
            });
        }
    }
}

/// An id that no other operation has.
fn free(ids: &HashSet<String>, wanted: String) -> String {
    let mut id = wanted.clone();
    let mut number = 2;
    while ids.contains(&id) {
        id = format!("{wanted} {number}");
        number += 1;
    }
    id
}
