//! The `use` declarations and the paths in a file's code.

use crate::tokens::Token;

/// One name that a `use` declaration brings in.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    /// As it is known here: `*` for everything.
    pub name: String,
    pub path: Vec<String>,
    /// `pub use`, also `pub(super) use`.
    pub public: bool,
}

/// All `use` declarations, groups taken apart.
pub fn uses(tokens: &[Token]) -> Vec<Use> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if *token == Token::Word("use".into()) {
            let before = at.checked_sub(1).map(|before| &tokens[before]);
            let public = matches!(before, Some(Token::Sign(')')))
                || before == Some(&Token::Word("pub".into()));
            tree(&tokens[at + 1..], &[], public, &mut found);
        }
    }
    found
}

/// Reads `path`, `path as name`, `path::{…}`; the tokens that it took.
fn tree(tokens: &[Token], prefix: &[String], public: bool, found: &mut Vec<Use>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(Token::Word(name)) if name == "as" => {
                let Some(Token::Word(name)) = tokens.get(at + 1) else {
                    return at + 1;
                };
                found.push(Use {
                    name: name.clone(),
                    path,
                    public,
                });
                return at + 2;
            }
            Some(Token::Word(name)) => path.push(name.clone()),
            Some(Token::Path) => {}
            Some(Token::Sign('*')) => path.push("*".into()),
            Some(Token::Sign('{')) => {
                at += 1;
                while !matches!(tokens.get(at), None | Some(Token::Sign('}'))) {
                    at += tree(&tokens[at..], &path, public, found);
                    if tokens.get(at) == Some(&Token::Sign(',')) {
                        at += 1;
                    }
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
    }
    // `path::{self}` brings in the path itself.
    if path.len() > prefix.len() && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    if let Some(name) = path.last().cloned() {
        found.push(Use { name, path, public });
    }
    at
}

/// The paths of at least two names outside of `use` declarations.
pub fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == Token::Word("use".into()) {
            while at < tokens.len() && tokens[at] != Token::Sign(';') {
                at += 1;
            }
        }
        let begins = !at
            .checked_sub(1)
            .is_some_and(|before| tokens[before] == Token::Path);
        let mut path = Vec::new();
        while let Some(Token::Word(name)) = tokens.get(at) {
            path.push(name.clone());
            at += 1;
            if tokens.get(at) != Some(&Token::Path) {
                break;
            }
            at += 1;
        }
        match path.len() {
            0 => at += 1,
            1 => {}
            _ if begins => found.push(path),
            _ => {}
        }
    }
    found
}
