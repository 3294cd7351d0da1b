//! Reads the sources of the library as a compiler would, as far as the rules of the house ask: which file
//! imports from which, and which words its code holds. Comments and what only tests see are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::tokens::{Token, read, without_tests};
use crate::uses::{Use, paths, uses};

pub fn root() -> &'static Path {
    support::root()
}

/// All Rust files below a directory, sorted.
pub fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

/// One source file.
pub struct File {
    /// Below `src/`, with slashes: `store/api.rs`.
    pub name: String,
    /// `["store", "api"]`; the names of the folder for a mod.rs, none for lib.rs.
    module: Vec<String>,
    pub tokens: Vec<Token>,
    uses: Vec<Use>,
}

impl File {
    pub fn new(name: &str, text: &str) -> Self {
        let tokens = without_tests(read(text));
        let path = name.strip_suffix(".rs").unwrap_or(name);
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
        if ["mod", "lib"].contains(&module.last().map_or("", String::as_str)) {
            module.pop();
        }
        let uses = uses(&tokens);
        Self {
            name: name.to_owned(),
            module,
            tokens,
            uses,
        }
    }

    /// It has files below it, whose names it gives on.
    fn is_front(&self) -> bool {
        self.name.ends_with("mod.rs") || self.name == "lib.rs"
    }

    /// Whether a name occurs outside of the `use` declarations.
    fn mentions(&self, name: &str) -> bool {
        let mut inside = false;
        for token in &self.tokens {
            match token {
                Token::Word(word) if word == "use" => inside = true,
                Token::Sign(';') => inside = false,
                Token::Word(word) if !inside && word == name => return true,
                _ => {}
            }
        }
        false
    }
}

/// The files of a crate and what each imports.
pub struct Sources {
    pub files: Vec<File>,
    /// Place in `files` by module.
    by_module: BTreeMap<Vec<String>, usize>,
}

impl Sources {
    /// Those of this library, without the bindings and without tests in files of their own, which are left out
    /// like those beside the code.
    pub fn of_the_library() -> Self {
        let src = root().join("src");
        let files = rust_files(&src).into_iter().filter_map(|path| {
            let name = path.strip_prefix(&src).ok()?.to_str()?.replace('\\', "/");
            let text = fs::read_to_string(&path).ok()?;
            let is_ours = !name.starts_with("sqlite3ext-sys/") && !name.ends_with("/tests.rs");
            is_ours.then(|| File::new(&name, &text))
        });
        Self::new(files.collect())
    }

    pub fn new(files: Vec<File>) -> Self {
        let by_module = files
            .iter()
            .enumerate()
            .map(|(place, file)| (file.module.clone(), place))
            .collect();
        Self { files, by_module }
    }

    /// The module a path begins at and what is left of it; none for a path into another crate.
    fn begin<'p>(
        &self,
        module: &[String],
        path: &'p [String],
    ) -> Option<(Vec<String>, &'p [String])> {
        let mut at = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                if !self.by_module.contains_key(&child) {
                    return None;
                }
            }
        }
        Some((at, rest))
    }

    /// The file in which what a path names is defined, through all that is given on.
    fn target(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let (mut at, mut rest) = self.begin(module, path)?;
        while let Some((name, further)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(name)].concat();
            if !self.by_module.contains_key(&child) {
                break;
            }
            at = child;
            rest = further;
        }
        let place = *self.by_module.get(&at)?;
        let Some(name) = rest.first() else {
            return Some(place);
        };
        let given_on = self.files[place]
            .uses
            .iter()
            .find(|use_| use_.name == *name);
        match given_on {
            Some(use_) if depth < 16 => {
                let path = [use_.path.as_slice(), &rest[1..]].concat();
                self.target(&at, &path, depth + 1).or(Some(place))
            }
            _ => Some(place),
        }
    }

    /// What a file imports: the file, and the path by which it is named.
    ///
    /// A mod.rs that declares its files and gives names on imports nothing by that. What it uses itself counts.
    pub fn imports(&self, place: usize) -> Vec<(usize, String)> {
        let file = &self.files[place];
        let mut found = Vec::new();
        let mut import = |path: &[String]| {
            if let Some(target) = self.target(&file.module, path, 0)
                && target != place
            {
                found.push((target, path.join("::")));
            }
        };
        for use_ in &file.uses {
            assert_ne!(
                use_.name, "*",
                "{}: an import of everything can't be followed",
                file.name
            );
            let only_given_on = file.is_front() && use_.public && !file.mentions(&use_.name);
            if !only_given_on && !self.is_front_module(&file.module, &use_.path) {
                import(&use_.path);
            }
        }
        for path in paths(&file.tokens) {
            let renamed = file.uses.iter().find(|use_| use_.name == path[0]);
            match renamed {
                Some(use_) => import(&[use_.path.as_slice(), &path[1..]].concat()),
                None => import(&path),
            }
        }
        found
    }

    /// Whether a path names a whole folder: what is taken from it is seen where it is used.
    fn is_front_module(&self, module: &[String], path: &[String]) -> bool {
        let Some((at, rest)) = self.begin(module, path) else {
            return false;
        };
        let whole = [at.as_slice(), rest].concat();
        self.by_module
            .get(&whole)
            .is_some_and(|place| self.files[*place].is_front())
    }

    /// The circles: sets of files each of which imports all others, by way of some of them.
    pub fn circles(&self) -> Vec<BTreeSet<usize>> {
        let imports: Vec<BTreeSet<usize>> = (0..self.files.len())
            .map(|place| {
                self.imports(place)
                    .into_iter()
                    .map(|(file, _)| file)
                    .collect()
            })
            .collect();
        let reached: Vec<BTreeSet<usize>> = (0..imports.len())
            .map(|place| {
                let mut seen = BTreeSet::new();
                let mut next: Vec<usize> = imports[place].iter().copied().collect();
                while let Some(file) = next.pop() {
                    if seen.insert(file) {
                        next.extend(&imports[file]);
                    }
                }
                seen
            })
            .collect();
        let mut circles = BTreeSet::new();
        for place in 0..imports.len() {
            if reached[place].contains(&place) {
                let both_ways = |other: &&usize| reached[**other].contains(&place);
                circles.insert(reached[place].iter().filter(both_ways).copied().collect());
            }
        }
        circles.into_iter().collect()
    }

    /// The imports inside a circle, one a line, each with one of its paths.
    pub fn described(&self, circle: &BTreeSet<usize>) -> String {
        let mut lines = BTreeMap::new();
        for place in circle {
            for (target, path) in self.imports(*place) {
                if circle.contains(&target) {
                    let (from, to) = (&self.files[*place].name, &self.files[target].name);
                    lines
                        .entry(format!("  {from} imports {to}"))
                        .or_insert(path);
                }
            }
        }
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(line, path)| format!("{line} ({path})"))
            .collect();
        lines.join("\n")
    }
}
