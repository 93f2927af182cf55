//! Tags: names by which entries are made invalid together, in constant time for each name.
//!
//! ```text
//!   epoch   0        1            2                3
//!           │        │ "a"        │ "b"            │ "a"   invalidated
//!           └── load of an entry with tag "a" ─────┼──►    its stamp says 2: it is revoked at 3
//!                             started at 2         │
//! ```
//!
//! 1. Every invalidation is an epoch of its own, and a tag knows the last one that named it.
//! 2. A [`Stamp`] is what an entry, or a load, has of this: its tags, and the epoch at which the
//!    load started.  It is revoked once any of its tags was invalidated later than that.  Nobody
//!    walks over entries; they are asked when they are read.
//! 3. A tag is remembered for as long as somebody has a stamp or a set with it.  Dead names are
//!    swept when there are as many as live ones, so the memory is bounded by these.
//! 4. A load whose tags depend on its value learns them too late to have held them.  While such a
//!    load is under way, a [`watch`](Tags::watch), what is invalidated is remembered for it, up to
//!    [`REMEMBERED`] names; if there are more, its value counts as revoked, whatever its tags.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// How many invalidations are remembered for loads that do not know their tags.
pub const REMEMBERED: usize = 4096;

/// The number of an invalidation; what happens after it and before the next one has it.
pub type Epoch = u64;

/// A name that entries can be invalidated by.
#[derive(Debug)]
struct Tag {
    name: Box<str>,
    invalidated: AtomicU64,
}

/// Some tags, cheap to clone.
#[derive(Clone, Debug)]
pub struct TagSet(Arc<[Arc<Tag>]>);

/// The tags of an entry or a load, and when the load started.
#[derive(Clone, Debug)]
pub struct Stamp {
    tags: TagSet,
    epoch: Epoch,
}

/// All tags that anybody has, and the time as they count it.
#[derive(Debug, Default)]
pub struct Tags {
    known: HashMap<Box<str>, Weak<Tag>>,
    /// How many names may be known before the dead ones are swept.
    limit: usize,
    epoch: Epoch,
    /// How many loads under way do not know their tags, by the epoch at which they started.
    watches: BTreeMap<Epoch, usize>,
    /// What was invalidated while they were, the oldest first.
    recent: VecDeque<(Epoch, Arc<Tag>)>,
    /// What was invalidated until then may be forgotten.
    forgotten: Epoch,
}

impl TagSet {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Stamp {
    /// Whether one of the tags was invalidated since the load started.
    #[inline]
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.tags.0.iter().any(|tag| self.epoch < tag.invalidated.load(Ordering::Relaxed))
    }

    /// The names of the tags.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tags.0.iter().map(|tag| &*tag.name)
    }
}

impl Tags {
    /// No tags.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many names it knows, dead ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it knows no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The tags of these names.
    pub fn set<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> TagSet {
        TagSet(names.into_iter().map(|name| self.tag(name)).collect())
    }

    /// The stamp of a load that starts now.
    #[must_use]
    pub fn stamp(&self, tags: TagSet) -> Stamp {
        Stamp { tags, epoch: self.epoch }
    }

    /// Revokes every stamp with this tag that there is.
    pub fn invalidate(&mut self, name: &str) {
        self.epoch += 1;
        let watched = !self.watches.is_empty();
        let tag = match self.known.get(name).and_then(Weak::upgrade) {
            Some(tag) => tag,
            None if watched => self.tag(name),
            None => return,
        };
        tag.invalidated.store(self.epoch, Ordering::Relaxed);
        if watched {
            self.recent.push_back((self.epoch, tag));
        }
        if self.recent.len() > REMEMBERED {
            self.recent.clear();
            self.forgotten = self.epoch;
        }
    }

    /// A load starts that will know its tags only by its value; to be [ended](Self::end_watch).
    pub fn watch(&mut self) -> Epoch {
        *self.watches.entry(self.epoch).or_default() += 1;
        self.epoch
    }

    /// The stamp of a load that is [watched](Self::watch) since then and has learned its tags;
    /// `None` when it is revoked, as far as that is remembered.
    pub fn stamp_watched(&self, started: Epoch, tags: TagSet) -> Option<Stamp> {
        let stamp = Stamp { tags, epoch: started };
        (started >= self.forgotten && !stamp.is_revoked()).then_some(stamp)
    }

    /// A load is over that was watched since then.
    pub fn end_watch(&mut self, started: Epoch) {
        if let Some(count) = self.watches.get_mut(&started) {
            *count -= 1;
            if *count == 0 {
                self.watches.remove(&started);
            }
        }
        let oldest = self.watches.keys().next().copied().unwrap_or(Epoch::MAX);
        while self.recent.front().is_some_and(|&(epoch, _)| epoch <= oldest) {
            self.recent.pop_front();
        }
    }

    /// The tag of a name, which is known from now on.
    fn tag(&mut self, name: &str) -> Arc<Tag> {
        if let Some(tag) = self.known.get(name).and_then(Weak::upgrade) {
            return tag;
        }
        if self.known.len() >= self.limit {
            self.known.retain(|_, tag| tag.strong_count() > 0);
            self.limit = 2 * self.known.len() + 16;
        }
        let tag = Arc::new(Tag { name: name.into(), invalidated: AtomicU64::new(0) });
        self.known.insert(name.into(), Arc::downgrade(&tag));
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_invalidation_revokes_what_started_before_it() {
        let mut tags = Tags::new();
        let set = tags.set(["a", "b"]);
        let before = tags.stamp(set.clone());
        tags.invalidate("c");
        assert!(!before.is_revoked());
        tags.invalidate("b");
        let after = tags.stamp(set);
        assert!(before.is_revoked());
        assert!(!after.is_revoked());
    }

    #[test]
    fn a_tag_that_nobody_has_is_forgotten() {
        let mut tags = Tags::new();
        for number in 0..10_000 {
            tags.invalidate(&format!("unused {number}"));
            let set = tags.set([&*format!("short-lived {number}")]);
            drop(tags.stamp(set));
        }
        assert!(tags.len() <= 16);
    }

    #[test]
    fn a_load_that_learns_its_tags_late_is_revoked_by_what_came_meanwhile() {
        let mut tags = Tags::new();
        tags.invalidate("a");
        let started = tags.watch();
        tags.invalidate("b");
        let (a, b) = (tags.set(["a"]), tags.set(["b"]));
        assert!(tags.stamp_watched(started, a).is_some());
        assert!(tags.stamp_watched(started, b).is_none());
        tags.end_watch(started);
        assert!(tags.recent.is_empty());
    }

    #[test]
    fn what_is_remembered_for_such_loads_is_bounded() {
        let mut tags = Tags::new();
        let (started, set) = (tags.watch(), tags.set(["a"]));
        for number in 0..20 * REMEMBERED {
            tags.invalidate(&number.to_string());
        }
        assert!(tags.len() <= 4 * REMEMBERED);
        assert!(tags.stamp_watched(started, set.clone()).is_none());
        let later = tags.watch();
        assert!(tags.stamp_watched(later, set).is_some());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Start(Vec<u8>),
        Watch,
        Learn(usize, Vec<u8>),
        Drop(usize),
        Invalidate(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let names = || prop::collection::vec(0..6u8, 0..4);
        let step = prop_oneof![
            names().prop_map(Step::Start),
            Just(Step::Watch),
            (0..8usize, names()).prop_map(|(load, names)| Step::Learn(load, names)),
            (0..8usize).prop_map(Step::Drop),
            (0..8u8).prop_map(Step::Invalidate),
        ];
        prop::collection::vec(step, 0..120)
    }

    /// An entry of the model: its tags, and whether one was invalidated since it started.
    struct Entry {
        stamp: Stamp,
        names: Vec<u8>,
        revoked: bool,
    }

    fn set(tags: &mut Tags, names: &[u8]) -> TagSet {
        let names: Vec<String> = names.iter().map(u8::to_string).collect();
        tags.set(names.iter().map(String::as_str))
    }

    proptest! {
        /// Beside a model that walks over all entries, and remembers all invalidations for loads.
        #[test]
        fn agrees_with_a_walk_over_all_entries(steps in steps()) {
            let mut tags = Tags::new();
            let mut entries: Vec<Entry> = Vec::new();
            let mut loads: Vec<(Epoch, Vec<u8>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Start(names) => {
                        let set = set(&mut tags, &names);
                        entries.push(Entry { stamp: tags.stamp(set), names, revoked: false });
                    }
                    Step::Watch => loads.push((tags.watch(), Vec::new())),
                    Step::Learn(load, names) if load < loads.len() => {
                        let (started, invalidated) = loads.swap_remove(load);
                        let set = set(&mut tags, &names);
                        let stamp = tags.stamp_watched(started, set);
                        tags.end_watch(started);
                        let revoked = names.iter().any(|name| invalidated.contains(name));
                        prop_assert_eq!(stamp.is_none(), revoked);
                        entries.extend(stamp.map(|stamp| Entry { stamp, names, revoked }));
                    }
                    Step::Drop(entry) if entry < entries.len() => drop(entries.swap_remove(entry)),
                    Step::Learn(..) | Step::Drop(_) => {}
                    Step::Invalidate(name) => {
                        tags.invalidate(&name.to_string());
                        entries.iter_mut().for_each(|entry| entry.revoked |= entry.names.contains(&name));
                        loads.iter_mut().for_each(|(_, invalidated)| invalidated.push(name));
                    }
                }
                for entry in &entries {
                    prop_assert_eq!(entry.stamp.is_revoked(), entry.revoked);
                    prop_assert!(entry.stamp.names().eq(entry.names.iter().map(u8::to_string)));
                }
                prop_assert_eq!(tags.recent.is_empty(), loads.iter().all(|(_, names)| names.is_empty()));
            }
        }
    }
}
