//! Writing HTML. Markup is a constant of ours; whatever else comes is escaped on its way.

use std::fmt::{self, Display, Write as _};

use crate::report::text::sanitize;

/// A page that is being written. Only constants go into it as they are, so that no text of a host's
/// can become markup.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Writes markup of ours.
    pub(super) fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// Writes text, also for the inside of a quoted attribute.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in sanitize(text).chars() {
            match c {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                '\'' => self.0 += "&#39;",
                c => self.0.push(c),
            }
        }
        self
    }

    /// Writes text whose lines stay apart.
    pub(super) fn lines(&mut self, text: &str) -> &mut Self {
        for (place, line) in text.lines().enumerate() {
            if place > 0 {
                self.raw("<br>");
            }
            self.text(line);
        }
        self
    }

    /// Writes a number.
    pub(super) fn number(&mut self, number: impl Number) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{number}");
        self
    }

    /// Writes an attribute, with the blank before it.
    pub(super) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// Returns the page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a page of {} bytes", self.0.len())
    }
}

/// What is written in digits.
pub(super) trait Number: Display {}
impl Number for usize {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for f64 {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_becomes_markup(text in "\\PC*|[\\x00-\\x9f<>&\"'/=]{0,30}") {
            let mut page = Page::default();
            page.text(&text).lines(&text);
            let html = page.finish().replace("<br>", "");
            prop_assert!(!html.contains(['<', '>', '"', '\'', '\0', '\n']));
            for (at, _) in html.match_indices('&') {
                let entity = html.get(at..).unwrap_or_default();
                let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
                prop_assert!(known.iter().any(|known| entity.starts_with(known)));
            }
        }
    }
}
