//! What does not fit together is refused before anything happens.

use cofferdam_sys::clone::Namespaces;

use super::Isolation;
use crate::Error;

impl Isolation {
    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a kind that is both new and joined, or joined twice; for maps or limits
    /// without a new user namespace, clocks without a new time namespace; and for maps and clocks that are wrong
    /// in themselves.
    pub fn validate(&self) -> Result<(), Error> {
        let mut joined = Namespaces::empty();
        let process = self.join_process.iter().map(|(_, kinds)| *kinds);
        for kind in self.join.iter().map(|namespace| namespace.kind().flag()).chain(process) {
            let twice = joined.intersection(kind);
            if !twice.is_empty() {
                return Err(Error::invalid(format!("two {twice} namespaces are to be joined")));
            }
            joined |= kind;
        }
        let both = joined.intersection(self.new);
        if !both.is_empty() {
            return Err(Error::invalid(format!("the {both} namespace is to be new and joined at once")));
        }
        if let Some((process, kinds)) = &self.join_process
            && kinds.is_empty()
        {
            return Err(Error::invalid(format!("no namespace of process {} is to be joined", process.pid())));
        }
        let user = self.new.contains(Namespaces::USER);
        if !user && self.ids.is_some() {
            return Err(Error::invalid("id maps need a new user namespace"));
        }
        if !user && !self.limits.is_empty() {
            return Err(Error::invalid(
                "limits of namespaces need a new user namespace, or they would be the host's",
            ));
        }
        self.limits.validate()?;
        if let Some(clocks) = &self.clocks {
            if !self.new.contains(Namespaces::TIME) {
                return Err(Error::invalid("offsets of clocks need a new time namespace"));
            }
            clocks.validate()?;
        }
        self.ids.as_ref().map_or(Ok(()), crate::IdMaps::validate)
    }
}
