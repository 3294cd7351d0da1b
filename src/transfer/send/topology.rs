//! Orders in which nothing comes before what it refers to, without the database.

/// One thing refers to another.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub child: usize,
    pub parent: usize,
    /// What is referred to can't be there otherwise.
    pub must: bool,
}

/// All things up to `count` in groups, each behind those that it refers to; else in the order that they have. Things that
/// refer to each other in a circle are one group, if links that need not be can't be given up to cut it.
pub fn parents_first(count: usize, links: &[Link]) -> Vec<Vec<usize>> {
    let circles = components(count, links);
    let mut place_of = vec![(0, 0); count];
    for (circle, members) in circles.iter().enumerate() {
        for (place, member) in members.iter().enumerate() {
            place_of[*member] = (circle, place);
        }
    }
    let mut inside: Vec<Vec<Link>> = vec![Vec::new(); circles.len()];
    for link in links.iter().filter(|link| link.must) {
        let (child, parent) = (place_of[link.child], place_of[link.parent]);
        if child.0 == parent.0 && link.child != link.parent {
            inside[child.0].push(Link {
                child: child.1,
                parent: parent.1,
                must: true,
            });
        }
    }
    let mut groups = Vec::with_capacity(circles.len());
    for (circle, links) in circles.into_iter().zip(&inside) {
        if circle.len() == 1 {
            groups.push(circle);
            continue;
        }
        let cut = components(circle.len(), links).into_iter();
        groups.extend(cut.map(|group| group.into_iter().map(|place| circle[place]).collect()));
    }
    groups
}

/// Where a thing is on the walk through its links.
#[derive(Clone, Copy)]
struct Seen {
    /// When it was met, from 1; 0: not yet.
    at: usize,
    /// The earliest thing on the path that can be reached from it.
    lowest: usize,
    /// Its group is not closed yet.
    open: bool,
    /// How many of its links were followed.
    followed: usize,
}

/// Tarjan's algorithm, without recursion: a table can be one long chain. Each group is in ascending order.
fn components(count: usize, links: &[Link]) -> Vec<Vec<usize>> {
    let parents = Parents::of(count, links);
    let new = Seen {
        at: 0,
        lowest: 0,
        open: false,
        followed: 0,
    };
    let mut seen = vec![new; count];
    let (mut met, mut open, mut path) = (0, Vec::new(), Vec::new());
    let mut groups = Vec::new();
    for start in 0..count {
        if seen[start].at != 0 {
            continue;
        }
        path.push(start);
        while let Some(&place) = path.last() {
            if seen[place].at == 0 {
                met += 1;
                seen[place] = Seen {
                    at: met,
                    lowest: met,
                    open: true,
                    followed: 0,
                };
                open.push(place);
            }
            let next = parents.of_child(place).get(seen[place].followed).copied();
            if let Some(parent) = next {
                if seen[parent].at == 0 {
                    path.push(parent);
                } else {
                    if seen[parent].open {
                        seen[place].lowest = seen[place].lowest.min(seen[parent].lowest);
                    }
                    seen[place].followed += 1;
                }
                continue;
            }
            path.pop();
            if seen[place].lowest == seen[place].at {
                let first = open.iter().rposition(|member| *member == place);
                let mut group = open.split_off(first.unwrap_or(0));
                group.sort_unstable();
                group.iter().for_each(|member| seen[*member].open = false);
                groups.push(group);
            }
        }
    }
    groups
}

/// What each thing refers to.
struct Parents {
    starts: Vec<usize>,
    parents: Vec<usize>,
}

impl Parents {
    fn of(count: usize, links: &[Link]) -> Self {
        let mut sorted: Vec<(usize, usize)> =
            links.iter().map(|link| (link.child, link.parent)).collect();
        sorted.sort_unstable();
        let mut starts = vec![0; count + 1];
        for (child, _) in &sorted {
            starts[child + 1] += 1;
        }
        for place in 0..count {
            starts[place + 1] += starts[place];
        }
        Self {
            starts,
            parents: sorted.into_iter().map(|(_, parent)| parent).collect(),
        }
    }

    fn of_child(&self, child: usize) -> &[usize] {
        &self.parents[self.starts[child]..self.starts[child + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(usize, usize)]) -> Vec<Link> {
        let link = |(child, parent): &(usize, usize)| Link {
            child: *child,
            parent: *parent,
            must: true,
        };
        pairs.iter().map(link).collect()
    }

    #[test]
    fn things_come_behind_those_that_they_refer_to_and_circles_are_one_group() {
        for (count, pairs, groups) in [
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
            assert_eq!(parents_first(count, &links(&pairs)), groups, "{pairs:?}");
        }
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<(usize, usize)> = (0..200_000).map(|place| (place, place + 1)).collect();
        let groups = parents_first(200_001, &links(&chain));
        assert!((0..=200_000).rev().eq(groups.into_iter().flatten()));
    }

    #[test]
    fn a_circle_is_cut_where_that_harms_nobody() {
        let mut circle = links(&[(0, 1), (1, 2), (2, 0)]);
        circle[1].must = false;
        assert_eq!(parents_first(3, &circle), [[1], [0], [2]]);
    }
}
