//! Files to hosts and from them.
