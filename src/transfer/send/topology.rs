//! Orders in which nothing comes before what it refers to, without the database.
//!
//! Things are numbers below a count. A table can have millions of rows: what is kept of one is about 25 bytes.

/// Things beyond are left out: a bit of each number is used as a mark.
const MOST: usize = 1 << 31;
const MARK: u32 = 1 << 31;

/// Takes links: a thing, one that it refers to, and whether that can't be there otherwise.
pub type Each<'f> = &'f mut dyn FnMut(usize, usize, bool);

/// What each thing refers to.
pub struct Links {
    /// Where the parents of each begin, and of the last one end.
    starts: Vec<u32>,
    /// Marked: it must come first.
    parents: Vec<u32>,
}

impl Links {
    /// Of all things below `count`; more links than a number of four bytes counts are none. They are asked for twice, and
    /// must be the same both times.
    ///
    /// # Errors
    /// Those of what tells the links.
    pub fn read<E>(count: usize, links: impl Fn(Each<'_>) -> Result<(), E>) -> Result<Self, E> {
        let count = count.min(MOST);
        let mut starts = vec![0_u32; count + 1];
        links(&mut |child, parent, _| {
            if child < count && parent < count {
                starts[child] = starts[child].saturating_add(1);
            }
        })?;
        let mut end = 0_u32;
        for start in &mut starts {
            end = end.saturating_add(*start);
            *start = end;
        }
        if end == u32::MAX {
            return Ok(Self {
                starts: vec![0; count + 1],
                parents: Vec::new(),
            });
        }
        // Filled from its end, a thing's part is full when its start is where it begins.
        let mut parents = vec![0; end as usize];
        links(&mut |child, parent, must| {
            if child < count && parent < count && starts[child] > 0 {
                starts[child] -= 1;
                parents[starts[child] as usize] = number(parent) | if must { MARK } else { 0 };
            }
        })?;
        for child in 0..count {
            parents[starts[child] as usize..starts[child + 1] as usize]
                .sort_unstable_by_key(|parent| parent & !MARK);
        }
        Ok(Self { starts, parents })
    }

    fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// A thing's link at a place from its `start`, if there are so many.
    fn at(&self, child: usize, followed: u32) -> Option<(usize, bool)> {
        let place = self.starts[child] as usize + followed as usize;
        let parent = *self.parents[..self.starts[child + 1] as usize].get(place)?;
        Some(((parent & !MARK) as usize, parent & MARK != 0))
    }

    /// The links that must be, between things of one group, by their places in it.
    fn inside(&self, group: &[u32]) -> Self {
        let links = |each: Each<'_>| {
            for (child, thing) in group.iter().enumerate() {
                let mut followed = 0;
                while let Some((parent, must)) = self.at(*thing as usize, followed) {
                    followed += 1;
                    if let (true, Ok(parent)) = (must, group.binary_search(&number(parent))) {
                        each(child, parent, true);
                    }
                }
            }
            Ok::<(), std::convert::Infallible>(())
        };
        match Self::read(group.len(), links) {
            Ok(links) => links,
            Err(never) => match never {},
        }
    }
}

/// Below `MOST`, of which there are that many at most.
#[allow(clippy::cast_possible_truncation)]
fn number(thing: usize) -> u32 {
    thing as u32
}

/// Groups of things, one after the other.
#[derive(Default)]
pub struct Groups {
    /// Marked: it is in the group of the one before.
    members: Vec<u32>,
}

impl Groups {
    /// All things in their order, and whether each is in the group of the one before.
    pub fn members(&self) -> impl Iterator<Item = (usize, bool)> {
        let members = self.members.iter();
        members.map(|member| ((member & !MARK) as usize, member & MARK != 0))
    }

    /// The groups one by one: for few things.
    pub fn lists(&self) -> Vec<Vec<usize>> {
        let mut lists: Vec<Vec<usize>> = Vec::new();
        for (member, with_the_one_before) in self.members() {
            match lists.last_mut() {
                Some(list) if with_the_one_before => list.push(member),
                _ => lists.push(vec![member]),
            }
        }
        lists
    }

    fn push(&mut self, group: impl Iterator<Item = u32>) {
        let marks = std::iter::once(0).chain(std::iter::repeat(MARK));
        self.members
            .extend(group.zip(marks).map(|(member, mark)| member | mark));
    }
}

/// All things in groups, each behind those that it refers to; else in the order that they have. Things that refer to each
/// other in a circle are one group, if links that need not be can't be given up to cut it.
pub fn parents_first(links: &Links) -> Groups {
    let mut groups = Groups::default();
    components(links, |circle| {
        if let [_] = circle {
            return groups.push(circle.iter().copied());
        }
        components(&links.inside(circle), |group| {
            groups.push(group.iter().map(|place| circle[*place as usize]));
        });
    });
    groups
}

/// Where a thing is on the walk through its links.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// When it was met, from 1; 0: not yet.
    at: u32,
    /// The earliest thing on the path that can be reached from it; `CLOSED`: its group is done.
    lowest: u32,
    /// How many of its links were followed.
    followed: u32,
}

const CLOSED: u32 = u32::MAX;

/// Tarjan's algorithm, without recursion: a table can be one long chain. Each group is in ascending order.
fn components(links: &Links, mut each: impl FnMut(&[u32])) {
    let mut seen = vec![Seen::default(); links.count()];
    let (mut met, mut open, mut path) = (0, Vec::new(), Vec::new());
    for start in 0..seen.len() {
        if seen[start].at != 0 {
            continue;
        }
        path.push(number(start));
        while let Some(&last) = path.last() {
            let place = last as usize;
            if seen[place].at == 0 {
                met += 1;
                (seen[place].at, seen[place].lowest) = (met, met);
                open.push(last);
            }
            if let Some((parent, _)) = links.at(place, seen[place].followed) {
                if seen[parent].at == 0 {
                    path.push(number(parent));
                    continue;
                }
                seen[place].followed += 1;
                if seen[parent].lowest != CLOSED {
                    seen[place].lowest = seen[place].lowest.min(seen[parent].lowest);
                }
                continue;
            }
            path.pop();
            if seen[place].lowest == seen[place].at {
                let first = open.iter().rposition(|member| *member == last).unwrap_or(0);
                open[first..].sort_unstable();
                for member in &open[first..] {
                    seen[*member as usize].lowest = CLOSED;
                }
                each(&open[first..]);
                open.truncate(first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(count: usize, pairs: &[(usize, usize, bool)]) -> Vec<Vec<usize>> {
        let links = Links::read(count, |each| {
            pairs.iter().for_each(|pair| each(pair.0, pair.1, pair.2));
            Ok::<(), ()>(())
        });
        parents_first(&links.unwrap()).lists()
    }

    fn must(pairs: &[(usize, usize)]) -> Vec<(usize, usize, bool)> {
        pairs.iter().map(|pair| (pair.0, pair.1, true)).collect()
    }

    #[test]
    fn things_come_behind_those_that_they_refer_to_and_circles_are_one_group() {
        for (count, pairs, expected) in [
            (3, vec![], vec![vec![0], vec![1], vec![2]]),
            (3, vec![(0, 1), (1, 2)], vec![vec![2], vec![1], vec![0]]),
            (
                3,
                vec![(0, 2), (1, 0), (2, 2)],
                vec![vec![2], vec![0], vec![1]],
            ),
            (2, vec![(0, 1), (1, 0)], vec![vec![0, 1]]),
            (
                4,
                vec![(0, 1), (1, 2), (1, 3), (2, 1)],
                vec![vec![3], vec![1, 2], vec![0]],
            ),
            (
                6,
                vec![(0, 4), (4, 0), (1, 4), (5, 3), (3, 5), (0, 5)],
                vec![vec![3, 5], vec![0, 4], vec![1], vec![2]],
            ),
        ] {
            assert_eq!(groups(count, &must(&pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<(usize, usize)> = (0..200_000).map(|place| (place, place + 1)).collect();
        let groups = groups(200_001, &must(&chain));
        assert!((0..=200_000).rev().eq(groups.into_iter().flatten()));
    }

    #[test]
    fn a_circle_is_cut_where_that_harms_nobody() {
        let circle = [(0, 1, true), (1, 2, false), (2, 0, true)];
        assert_eq!(groups(3, &circle), [[1], [0], [2]]);
    }
}
