//! The recipes of docs/servers.md: what is run here is what one can copy there.

use support::page::{Block, Step, blocks, steps, text};

/// The part of the page that is about one server, with the names and addresses of a test in place of the page's.
pub struct Recipe {
    blocks: Vec<Block>,
}

impl Recipe {
    /// `changes`: what is replaced, and by what. All of it must be there.
    pub fn of(heading: &str, changes: &[(&str, &str)]) -> Recipe {
        let page = text("docs/servers.md");
        let mark = format!("\n## {heading}\n");
        let start = page
            .find(&mark)
            .unwrap_or_else(|| panic!("docs/servers.md has no {heading}"));
        let part = &page[start + mark.len()..];
        let mut part = part.split("\n## ").next().unwrap_or(part).to_owned();
        for (from, to) in changes {
            assert!(part.contains(from), "{heading} has no {from}");
            part = part.replace(from, to);
        }
        Recipe {
            blocks: blocks(&part),
        }
    }

    /// The only block of a kind, as text.
    pub fn only(&self, info: &str) -> String {
        let mut of_kind = self.blocks.iter().filter(|block| block.info == info);
        let block = of_kind.next().unwrap_or_else(|| panic!("no {info}"));
        assert!(of_kind.next().is_none(), "several {info}");
        block.lines.join("\n")
    }

    fn sql(&self) -> impl Iterator<Item = &Block> {
        self.blocks
            .iter()
            .filter(|block| block.info == "sql no-run")
    }

    /// What declares the provider and its functions.
    pub fn setup(&self) -> Vec<Step> {
        steps(self.sql().next().expect("a first block"))
    }

    /// Whether only what is new is read.
    pub fn is_incremental(&self) -> bool {
        self.sql()
            .any(|block| block.lines.join("").contains("\"incremental\""))
    }

    /// What the page shows then.
    pub fn usage(&self) -> Vec<Step> {
        let shown: Vec<Step> = self.sql().skip(1).flat_map(steps).collect();
        assert!(
            shown.iter().any(|step| step.expected.is_some()),
            "nothing is shown"
        );
        shown
    }
}

/// The statement that makes the table, which all recipes fill.
pub fn table() -> String {
    let page = text("docs/servers.md");
    let before = page.split("\n## ").next().unwrap_or_default();
    let blocks = blocks(before);
    let block = blocks.first().expect("the table");
    block.lines.join("\n")
}
