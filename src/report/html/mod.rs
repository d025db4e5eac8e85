//! The report as one page: no network, no foreign code, and everything readable without its script.

mod escape;
mod past;
mod sections;
mod trends;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::style::Style;
use super::table::headline;
use super::text::count;
use crate::model::{Report, Trends, Verdict};
use escape::Page;
pub use past::render_history_html;

/// The page's style sheet.
const STYLE: &str = include_str!("style.css");

/// The page's script: sorting, filtering, and unfolding for print.
const SCRIPT: &str = include_str!("script.js");

/// Renders a report as a page of HTML that holds all it needs. Its Content-Security-Policy lets the
/// browser run its one script and nothing else, and load nothing. `trends` is what is known of earlier
/// runs; without any its section is left out.
pub fn render_html(report: &Report, trends: Option<&Trends>) -> String {
    let trends = trends.filter(|trends| trends.hosts.iter().any(|host| !host.is_empty()));
    let mut page = Page::default();
    head(&mut page, report.verdict(), report.hosts.len());
    header(&mut page, report, trends.is_some());
    page.raw("<main id=\"main\">\n");
    sections::map(&mut page, report);
    sections::incidents(&mut page, report);
    sections::gateways(&mut page, report);
    if let Some(trends) = trends {
        trends::section(&mut page, trends);
    }
    foot(&mut page);
    page.finish()
}

fn foot(page: &mut Page) {
    page.raw("</main>\n<footer><p>Made by clawfleet. This page loads nothing; ")
        .raw("its script only sorts, filters and unfolds.</p></footer>\n<script>")
        .raw(SCRIPT)
        .raw("</script>\n</body>\n</html>\n");
}

/// The word of a verdict, as a heading has it.
pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "OK",
        Verdict::Warning => "WARNING",
        Verdict::Unknown => "UNKNOWN",
        Verdict::Critical => "CRITICAL",
    }
}

fn head(page: &mut Page, verdict: Verdict, hosts: usize) {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    );
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .raw("<meta http-equiv=\"Content-Security-Policy\"")
        .attribute("content", &policy)
        .raw(">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .raw("<meta name=\"color-scheme\" content=\"light dark\">\n")
        .raw("<meta name=\"referrer\" content=\"no-referrer\">\n")
        .raw("<meta name=\"robots\" content=\"noindex\">\n<title>")
        .raw(word(verdict))
        .raw(": ")
        .text(&count(hosts, "host"))
        .raw(" - clawfleet</title>\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n");
}

/// What a Content-Security-Policy calls a text that may be used.
fn digest(text: &str) -> String {
    format!(
        "sha256-{}",
        Base64::encode_string(&Sha256::digest(text.as_bytes()))
    )
}

fn header(page: &mut Page, report: &Report, with_trends: bool) {
    let said = headline(report, Style::Plain);
    let said = said
        .split_once(": ")
        .map_or(said.as_str(), |(_, said)| said);
    banner(page, report.verdict(), said.trim_end());
    page.raw("<p class=\"when\">clawfleet check of ");
    time(page, report.started_at);
    page.raw("</p>\n");
    let mut parts = vec![
        ("#map", "Hosts by state"),
        ("#incidents", "Incidents"),
        ("#all", "All gateways"),
    ];
    if with_trends {
        parts.push(("#trends", "Trends"));
    }
    nav(page, &parts);
}

/// The verdict, which is read first and often alone.
fn banner(page: &mut Page, verdict: Verdict, said: &str) {
    page.raw("<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header>\n")
        .raw("<h1 class=\"verdict ")
        .raw(verdict.id())
        .raw("\"><span class=\"word\">")
        .raw(word(verdict))
        .raw("</span> <span>")
        .text(said)
        .raw("</span></h1>\n");
}

fn time(page: &mut Page, at: jiff::Timestamp) {
    page.raw("<time")
        .attribute("datetime", &at.to_string())
        .raw(">")
        .text(&at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .raw("</time>");
}

fn nav(page: &mut Page, parts: &[(&'static str, &'static str)]) {
    page.raw("<nav aria-label=\"Parts of the report\">");
    for (place, (to, name)) in parts.iter().enumerate() {
        if place > 0 {
            page.raw(" ");
        }
        page.raw("<a href=\"")
            .raw(to)
            .raw("\">")
            .raw(name)
            .raw("</a>");
    }
    page.raw("</nav>\n</header>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would end the element that it stands in.
    #[test]
    fn style_and_script_hold_no_end_tag() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("<!--"));
            assert!(!text.contains("http"), "it loads something");
            assert!(text.is_ascii() && !text.contains('\r'));
        }
    }

    /// The relative luminance of WCAG 2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let hex = colour.get(at..at + 2).unwrap_or("00");
            let value = f64::from(u8::from_str_radix(hex, 16).unwrap_or(0)) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    /// Every pair of colours that text is set in has the contrast of WCAG AA, by light and in the dark.
    #[test]
    fn the_colours_can_be_read() {
        let pairs = [
            ("--ink", "--paper"),
            ("--ink", "--card"),
            ("--muted", "--paper"),
            ("--muted", "--card"),
            ("--link", "--paper"),
            ("--link", "--card"),
            ("--on-state", "--ok"),
            ("--on-state", "--warning"),
            ("--on-state", "--unknown"),
            ("--on-state", "--critical"),
        ];
        let palettes: Vec<&str> = STYLE.split("/* palette */").skip(1).collect();
        assert_eq!(palettes.len(), 3, "light, dark and print");
        for palette in palettes {
            let colour = |name: &str| {
                let found = palette.split_once(&format!("{name}:"));
                let value = found.and_then(|(_, rest)| rest.split(';').next());
                luminance(value.unwrap_or_default().trim())
            };
            for (over, under) in pairs {
                let (a, b) = (colour(over), colour(under));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{over} on {under}: {contrast:.2}");
            }
        }
    }
}
