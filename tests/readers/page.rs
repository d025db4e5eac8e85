//! The page in a browser: nothing is loaded, nothing complains, and it can be used.

use clawfleet::report::render_html;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::recorded::{hostile, mixed, three_hundred, two_weeks};

/// Runs a test in a browser of its own.
pub(crate) fn browse(test: impl AsyncFnOnce(&mut Browser)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut browser = Browser::start().await;
        test(&mut browser).await;
    });
}

/// How many rows can be seen.
pub(crate) const SHOWN: &str = "Array.from(document.querySelectorAll('#gateways tbody tr')).filter((row) => row.offsetHeight > 0).length";

/// What the page says of that.
pub(crate) const TOLD: &str = "document.getElementById('told').textContent";

/// Goes through the page with the Tab key until the element of that id has the focus.
pub(crate) async fn tab_to(browser: &mut Browser, id: &str) {
    for _ in 0..1000 {
        browser.press("Tab").await;
        if browser.eval("document.activeElement.id").await == id {
            return;
        }
    }
    panic!("the Tab key never comes to {id}");
}

#[test]
fn it_loads_nothing_and_complains_of_nothing() {
    browse(async |browser| {
        for report in [mixed(), three_hundred()] {
            let trends = two_weeks();
            browser.open(&render_html(&report, Some(&trends))).await;
            let requests = browser.requests();
            assert_eq!(requests.len(), 1, "{requests:?}");
            assert_eq!(browser.trouble().await, Vec::<Value>::new());
        }
    });
}

/// The policy is in force, and not only written down.
#[test]
fn its_policy_stops_foreign_code() {
    browse(async |browser| {
        browser.open(&render_html(&mixed(), None)).await;
        browser
            .eval(
                "(() => { const script = document.createElement('script');
                 script.textContent = 'window.foreign = 1'; document.body.append(script);
                 const image = document.createElement('img');
                 image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; document.body.append(image);
                 document.body.setAttribute('style', 'color: red'); })()",
            )
            .await;
        assert_eq!(browser.eval("typeof window.foreign").await, "undefined");
        let trouble = format!("{:?}", browser.trouble().await);
        assert!(
            trouble.contains("Content Security Policy")
                || trouble.contains("ContentSecurityPolicy"),
            "{trouble}"
        );
    });
}

#[test]
fn what_hosts_write_stays_text() {
    let evil = [
        "<script>window.evil = 1</script>",
        "\"><img src=x onerror=\"window.evil = 1\">",
        "' onmouseover='window.evil = 1",
        "</summary></details></title></style><svg onload=window.evil=1>",
        "<a href=\"javascript:window.evil=1\">click</a>",
        "<meta http-equiv=refresh content=0;url=//evil>",
        "&lt;b&gt;&#60;script&#62;",
    ];
    browse(async |browser| {
        for evil in evil {
            browser.open(&render_html(&hostile(evil), None)).await;
            assert_eq!(browser.eval("typeof window.evil").await, "undefined");
            let made = browser
                .eval("document.querySelectorAll('img, svg, iframe, object, body script:not(:last-child), a:not([href^=\"#\"])').length")
                .await;
            assert_eq!(made, 0, "{evil}");
            // It is there to be read, letter by letter.
            let read = browser
                .eval(&format!(
                    "document.getElementById('incidents').textContent.includes({})",
                    json!(evil)
                ))
                .await;
            assert_eq!(read, true, "{evil}");
            assert_eq!(browser.trouble().await, Vec::<Value>::new(), "{evil}");
        }
    });
}

#[test]
fn the_filter_works_by_keyboard() {
    browse(async |browser| {
        browser.open(&render_html(&mixed(), None)).await;
        browser.comes_to(TOLD, "all 6 rows").await;
        tab_to(browser, "words").await;
        browser.type_in("orphan vm151").await;
        browser.comes_to(SHOWN, 1).await;
        browser.comes_to(TOLD, "1 of 6 rows").await;
        browser.press("Escape").await;
        browser.comes_to(SHOWN, 6).await;
        // The next stop is the first of the states.
        browser.press("Tab").await;
        browser.press(" ").await;
        let pressed = "document.activeElement.getAttribute('aria-pressed')";
        browser.comes_to(pressed, "true").await;
        browser.comes_to(TOLD, "2 of 6 rows").await;
        browser.press("Enter").await;
        browser.comes_to(TOLD, "all 6 rows").await;
        browser
            .eval("document.getElementById('words').focus()")
            .await;
        browser.type_in("nothing has this").await;
        browser.comes_to(SHOWN, 0).await;
        browser
            .comes_to("document.getElementById('none').hidden", false)
            .await;
        // A link of the map shows its row, whatever the filter says.
        browser
            .eval("document.querySelector('a[href=\"#h1\"]').focus()")
            .await;
        browser.press("Enter").await;
        browser.comes_to("document.activeElement.id", "h1").await;
        browser.comes_to(SHOWN, 6).await;
        assert_eq!(browser.trouble().await, Vec::<Value>::new());
    });
}

#[test]
fn columns_are_sorted_by_keyboard() {
    browse(async |browser| {
        browser.open(&render_html(&mixed(), None)).await;
        let column = |index: usize| {
            format!(
                "Array.from(document.querySelectorAll('#gateways tbody tr')).map((row) => row.cells[{index}].textContent)"
            )
        };
        let focus = |index: usize| {
            format!("document.querySelectorAll('#gateways thead button')[{index}].focus()")
        };
        browser.eval(&focus(0)).await;
        browser.press("Enter").await;
        browser
            .comes_to(
                &column(0),
                json!(["VM151", "VM152", "VM153", "VM154", "VM154", "VM155"]),
            )
            .await;
        let sorted = "document.querySelector('#gateways thead th').getAttribute('aria-sort')";
        browser.comes_to(sorted, "ascending").await;
        browser.press("Enter").await;
        browser.comes_to(sorted, "descending").await;
        assert_eq!(browser.eval(&column(0)).await[0], "VM155");
        // Numbers by their value, and what is not known last both ways.
        browser.eval(&focus(6)).await;
        for wanted in [
            ["0", "0", "2", "39", "40", "-"],
            ["40", "39", "2", "0", "0", "-"],
        ] {
            browser.press("Enter").await;
            browser.comes_to(&column(6), json!(wanted)).await;
        }
        assert_eq!(
            browser
                .eval("document.querySelectorAll('#gateways thead [aria-sort]').length")
                .await,
            1
        );
    });
}

#[test]
fn evidence_unfolds_by_keyboard_and_for_print() {
    browse(async |browser| {
        browser.open(&render_html(&mixed(), None)).await;
        let open = "document.querySelectorAll('details[open]').length";
        let all = browser
            .eval("document.querySelectorAll('details').length")
            .await;
        browser.comes_to(open, 0).await;
        browser
            .eval("document.querySelector('summary').focus()")
            .await;
        browser.press("Enter").await;
        browser.comes_to(open, 1).await;
        browser
            .eval("document.getElementById('unfold').focus()")
            .await;
        browser.press("Enter").await;
        browser.comes_to(open, all).await;
        browser.press("Enter").await;
        browser.comes_to(open, 0).await;
        // On paper all of it is there, without the script's help, too.
        browser
            .call("Emulation.setEmulatedMedia", json!({"media": "print"}))
            .await;
        let folded = "Array.from(document.querySelectorAll('details ul')).filter((list) => !list.checkVisibility({contentVisibilityAuto: true}) || list.offsetHeight === 0).length";
        browser.comes_to(folded, 0).await;
        browser
            .comes_to("document.getElementById('filter').offsetHeight", 0)
            .await;
        // Paper is narrow, and a table all the same.
        browser
            .comes_to(
                "getComputedStyle(document.querySelector('#gateways tbody tr')).display",
                "table-row",
            )
            .await;
        let printed = browser
            .call("Page.printToPDF", json!({"preferCSSPageSize": true}))
            .await;
        assert!(printed["data"].as_str().unwrap().len() > 10_000);
    });
}

#[test]
fn without_its_script_everything_can_be_read() {
    browse(async |browser| {
        browser
            .call(
                "Emulation.setScriptExecutionDisabled",
                json!({"value": true}),
            )
            .await;
        browser
            .open(&render_html(&mixed(), Some(&two_weeks())))
            .await;
        browser
            .call(
                "Emulation.setScriptExecutionDisabled",
                json!({"value": false}),
            )
            .await;
        browser.comes_to(SHOWN, 6).await;
        browser
            .comes_to("document.getElementById('filter').offsetHeight", 0)
            .await;
        browser
            .comes_to(
                "document.querySelectorAll('button:not([data-state])').length",
                0,
            )
            .await;
        browser
            .comes_to("document.querySelectorAll('#trends svg').length", 5)
            .await;
        browser
            .eval("document.querySelector('a[href=\"#h1\"]').focus()")
            .await;
        browser.press("Enter").await;
        browser
            .comes_to("document.querySelector(':target').id", "h1")
            .await;
        assert_eq!(browser.trouble().await, Vec::<Value>::new());
    });
}

/// At a phone's width nothing hangs out of the screen, and the cards are a table to a screen reader.
#[test]
fn it_fits_every_screen() {
    browse(async |browser| {
        for (name, report) in [("mixed", mixed()), ("large", three_hundred())] {
            for (width, dark) in [(390, false), (390, true), (1280, false), (1280, true)] {
                browser.look(width, dark).await;
                browser
                    .open(&render_html(&report, Some(&two_weeks())))
                    .await;
                let wide = browser.eval("document.documentElement.scrollWidth").await;
                assert!(
                    wide.as_u64().unwrap() <= u64::from(width),
                    "{name}: {wide} at {width}"
                );
                let paper = browser
                    .eval("getComputedStyle(document.body).backgroundColor")
                    .await;
                assert_eq!(
                    paper,
                    if dark {
                        "rgb(15, 20, 26)"
                    } else {
                        "rgb(255, 255, 255)"
                    }
                );
                let small = browser
                    .eval("Array.from(document.querySelectorAll('a, button, summary, input')).filter((one) => one.offsetHeight > 0 && one.offsetHeight < 24 && !one.closest('p, nav, thead, .skip')).map((one) => one.outerHTML)")
                    .await;
                assert_eq!(small, json!([]), "too small for a finger");
                let roles = roles(browser).await;
                let count = |role: &str| roles.iter().filter(|found| *found == role).count();
                assert_eq!(count("table"), 2, "{name} at {width}");
                assert_eq!(count("rowheader"), count("row") - 2, "{name} at {width}");
                assert_eq!(count("columnheader"), 9 + 4);
                assert_eq!(count("heading"), 5 + report_incidents(browser).await);
                let light = if dark { "dark" } else { "light" };
                let picture = format!("report-{name}-{width}-{light}");
                browser.picture(&picture, width, 0, 2400).await;
                if name == "large" {
                    continue;
                }
                browser
                    .eval("document.getElementById('unfold').click()")
                    .await;
                let wide = browser.eval("document.documentElement.scrollWidth").await;
                assert!(wide.as_u64().unwrap() <= u64::from(width), "{name}: {wide}");
                let unfolded = format!("{picture}-unfolded");
                browser.picture(&unfolded, width, 400, 1600).await;
                let high = browser.eval("document.documentElement.scrollHeight").await;
                let end = high.as_u64().unwrap().saturating_sub(1200);
                browser
                    .picture(&format!("{picture}-end"), width, end, 1200)
                    .await;
            }
        }
    });
}

async fn report_incidents(browser: &mut Browser) -> usize {
    let articles = browser
        .eval("document.querySelectorAll('article').length")
        .await;
    usize::try_from(articles.as_u64().unwrap()).unwrap()
}

/// The roles of everything that a screen reader is told of.
pub(crate) async fn roles(browser: &mut Browser) -> Vec<String> {
    let tree = browser.call("Accessibility.getFullAXTree", json!({})).await;
    tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] != true)
        .filter_map(|node| node["role"]["value"].as_str().map(str::to_owned))
        .collect()
}
