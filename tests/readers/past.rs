//! The page of the history in a browser: the same rules, with other hosts and tables.

use std::collections::BTreeSet;

use clawfleet::diagnose::trends;
use clawfleet::model::{Chronicle, Severity, Verdict};
use clawfleet::report::render_history_html;
use serde_json::{Value, json};

use crate::chronicle::{answers, finds, quiet, three, three_hundred, told};
use crate::page::{SHOWN, TOLD, browse, roles, tab_to};

fn page(chronicle: &Chronicle) -> String {
    render_history_html(&told(chronicle, &BTreeSet::new()), &trends(chronicle))
}

#[test]
fn the_history_loads_nothing_and_fits_every_screen() {
    browse(async |browser| {
        for (name, week) in [("three", three()), ("large", three_hundred())] {
            for (width, dark) in [(390, false), (390, true), (1280, false), (1280, true)] {
                browser.look(width, dark).await;
                browser.open(&page(&week)).await;
                assert_eq!(browser.requests().len(), 1);
                assert_eq!(browser.trouble().await, Vec::<Value>::new());
                let wide = browser.eval("document.documentElement.scrollWidth").await;
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{name}: {wide} at {width}"
                );
                let roles = roles(browser).await;
                let count = |role: &str| roles.iter().filter(|found| *found == role).count();
                assert_eq!(count("table"), 3, "{name} at {width}");
                assert_eq!(count("rowheader"), count("row") - 3, "{name} at {width}");
                assert_eq!(count("columnheader"), 7 + 4 + 5);
                let light = if dark { "dark" } else { "light" };
                let picture = format!("history-{name}-{width}-{light}");
                browser.picture(&picture, width, 0, 2400).await;
                let high = browser.eval("document.documentElement.scrollHeight").await;
                let end = high.as_u64().unwrap().saturating_sub(1800);
                browser
                    .picture(&format!("{picture}-end"), width, end, 1800)
                    .await;
            }
        }
    });
}

#[test]
fn hosts_of_the_history_are_filtered_and_sorted() {
    browse(async |browser| {
        browser.open(&page(&three())).await;
        browser.comes_to(TOLD, "all 3 rows").await;
        tab_to(browser, "words").await;
        browser.type_in("orphan").await;
        browser.comes_to(SHOWN, 1).await;
        browser.press("Escape").await;
        browser.comes_to(SHOWN, 3).await;
        browser
            .eval("document.querySelector('a[href=\"#h1\"]').focus()")
            .await;
        browser.press("Enter").await;
        browser.comes_to("document.activeElement.id", "h1").await;
        // By the share in which they were observed.
        browser
            .eval("document.querySelectorAll('#gateways thead button')[4].focus()")
            .await;
        browser.press("Enter").await;
        let first = "document.querySelector('#gateways tbody th').textContent";
        browser.comes_to(first, "VM152").await;
        assert_eq!(browser.trouble().await, Vec::<Value>::new());
    });
}

/// What was kept of a host that writes what it likes stays text.
#[test]
fn what_was_kept_stays_text() {
    browse(async |browser| {
        for evil in [
            "<script>window.evil=1</script>",
            "\"><img src=x onerror=evil()>",
            "</title><b>",
        ] {
            let mut week = quiet(4, &["VM1".to_owned()]);
            let host = &mut week.hosts[0];
            finds(
                host,
                &format!("custom/{evil}"),
                Severity::Critical,
                (2, None),
            );
            host.findings[0].subject = evil.to_owned();
            let prints = host.prints.remove(&(18789, "config".to_owned())).unwrap();
            host.prints.insert((18789, evil.to_owned()), prints);
            answers(host, 3, "unreachable", Verdict::Unknown);
            host.answers[1].stage = Some(evil.to_owned());
            browser.open(&page(&week)).await;
            assert_eq!(browser.eval("typeof window.evil").await, "undefined");
            let made = "document.querySelectorAll('img, b:not(.legend b), script').length";
            assert_eq!(browser.eval(made).await, 1, "{evil}");
            let told = format!(
                "document.getElementById('incidents').textContent.includes({})",
                json!(evil)
            );
            assert_eq!(browser.eval(&told).await, true, "{evil}");
            assert_eq!(browser.trouble().await, Vec::<Value>::new(), "{evil}");
        }
    });
}
