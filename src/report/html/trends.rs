//! What changed over days, as small drawings. Their numbers stand beside them in words.

use jiff::Timestamp;

use super::escape::Page;
use crate::model::{HostTrend, SeenPoint, TrendPoint, Trends};

/// The drawing's size, in its own units.
const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 32.0;

/// How many points a drawing has at most; more would be closer than a pixel.
const MOST_POINTS: usize = 80;

/// The section of all trends. Hosts without any are left out.
pub(super) fn section(page: &mut Page, trends: &Trends) {
    let hosts = || trends.hosts.iter().filter(|host| !host.is_empty());
    let times = hosts().flat_map(|host| {
        let numbers = host.restarts.iter().chain(&host.latency_ms);
        let numbers = numbers.map(|point| point.at);
        numbers.chain(host.observed.iter().map(|point| point.at))
    });
    let (first, last) = times.fold((None, None), |(first, last): (Option<_>, Option<_>), at| {
        (
            Some(first.map_or(at, |first: Timestamp| first.min(at))),
            Some(last.map_or(at, |last: Timestamp| last.max(at))),
        )
    });
    let (Some(first), Some(last)) = (first, last) else {
        return;
    };
    let axis = Axis::new(first, last);
    page.raw("<section id=\"trends\" aria-labelledby=\"trends-head\">\n<h2 id=\"trends-head\">Trends</h2>\n<p>From ")
        .text(&first.strftime("%Y-%m-%d %H:%M").to_string())
        .raw(" to ")
        .text(&last.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .raw(". Each drawing has a scale of its own.</p>\n<table class=\"trends\" role=\"table\" aria-labelledby=\"trends-head\">\n<thead role=\"rowgroup\"><tr role=\"row\">")
        .raw("<th role=\"columnheader\" scope=\"col\">Host</th><th role=\"columnheader\" scope=\"col\">Restarts/24 h</th>")
        .raw("<th role=\"columnheader\" scope=\"col\">Latency</th><th role=\"columnheader\" scope=\"col\">Availability</th></tr></thead>\n<tbody role=\"rowgroup\">\n");
    for host in hosts() {
        row(page, host, axis);
    }
    page.raw("</tbody>\n</table>\n</section>\n");
}

fn row(page: &mut Page, host: &HostTrend, axis: Axis) {
    page.raw("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\" data-label=\"Host\">")
        .text(&host.name)
        .raw("</th><td role=\"cell\" data-label=\"Restarts/24 h\">");
    line(page, &host.restarts, axis, "");
    page.raw("</td><td role=\"cell\" data-label=\"Latency\">");
    line(page, &host.latency_ms, axis, " ms");
    page.raw("</td><td role=\"cell\" data-label=\"Availability\">");
    bars(page, &host.observed, axis);
    page.raw("</td></tr>\n");
}

/// Where a time stands in a drawing.
#[derive(Clone, Copy)]
struct Axis {
    first_ms: i64,
    length_ms: f64,
}

impl Axis {
    fn new(first: Timestamp, last: Timestamp) -> Self {
        Self {
            first_ms: first.as_millisecond(),
            length_ms: between(first.as_millisecond(), last.as_millisecond()).max(1.0),
        }
    }

    /// From 0 to 1.
    fn part(self, at: Timestamp) -> f64 {
        between(self.first_ms, at.as_millisecond()) / self.length_ms
    }

    /// Which of the points that are drawn.
    fn bucket(self, at: Timestamp) -> usize {
        let most = f64::from(u32::try_from(MOST_POINTS).unwrap_or(1)) - 1.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is between 0 and 79"
        )]
        let bucket = (self.part(at).clamp(0.0, 1.0) * most).round() as usize;
        bucket
    }
}

#[expect(clippy::cast_precision_loss, reason = "a drawing has 160 units")]
fn between(first_ms: i64, last_ms: i64) -> f64 {
    last_ms.saturating_sub(first_ms) as f64
}

/// No reading is larger; what is, was read wrong.
const LARGEST: f64 = 1e12;

/// A tenth of a unit is less than a pixel.
fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Of the points that fall together, the highest: a peak must not vanish.
fn thinned(points: &[TrendPoint], axis: Axis) -> Vec<(f64, f64)> {
    let mut kept: Vec<(usize, f64, f64)> = Vec::new();
    for point in points.iter().filter(|point| point.value.is_finite()) {
        let bucket = axis.bucket(point.at);
        let read = point.value.clamp(0.0, LARGEST);
        match kept.last_mut() {
            Some((last, _, value)) if *last == bucket => *value = value.max(read),
            _ => kept.push((bucket, axis.part(point.at), read)),
        }
    }
    kept.into_iter()
        .map(|(_, part, value)| (part, value))
        .collect()
}

fn line(page: &mut Page, points: &[TrendPoint], axis: Axis, unit: &'static str) {
    let drawn = thinned(points, axis);
    let Some((_, last)) = drawn.last() else {
        page.raw("<span class=\"nothing\">no readings</span>");
        return;
    };
    let most = drawn.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = if most > 0.0 { most } else { 1.0 };
    let place = |(part, value): &(f64, f64)| {
        let y = (HEIGHT - 2.0) * (1.0 - value / scale) + 1.0;
        (rounded(part * WIDTH), rounded(y))
    };
    page.raw("<svg class=\"line\" viewBox=\"0 0 160 32\" preserveAspectRatio=\"none\" aria-hidden=\"true\" focusable=\"false\"><polyline points=\"");
    let places: Vec<(f64, f64)> = drawn.iter().map(place).collect();
    for (index, (x, y)) in corners(&places).enumerate() {
        if index > 0 {
            page.raw(" ");
        }
        page.number(x).raw(",").number(y);
    }
    // A single reading has no length.
    if let [only] = drawn.as_slice() {
        let (x, y) = place(only);
        page.raw(" ").number(x + 1.0).raw(",").number(y);
    }
    page.raw("\"/></svg> <span>now ")
        .number(rounded(*last))
        .raw(unit)
        .raw(", most ")
        .number(rounded(most))
        .raw(unit)
        .raw("</span>");
}

/// The places of a line without those in the middle of a level stretch.
fn corners(places: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let level = |one: Option<&(f64, f64)>, y: f64| one.is_some_and(|(_, other)| *other == y);
    let all = places.iter().copied().enumerate();
    all.filter(move |(index, (_, y))| {
        let before = index.checked_sub(1).and_then(|before| places.get(before));
        !(level(before, *y) && level(places.get(index + 1), *y))
    })
    .map(|(_, place)| place)
}

fn bars(page: &mut Page, points: &[SeenPoint], axis: Axis) {
    if points.is_empty() {
        page.raw("<span class=\"nothing\">no readings</span>");
        return;
    }
    // Of the points that fall together, the one that was not seen: a gap must not vanish.
    let mut kept: Vec<(usize, bool)> = Vec::new();
    for point in points {
        let bucket = axis.bucket(point.at);
        let all_seen = point.seen >= point.looks;
        match kept.last_mut() {
            Some((last, seen)) if *last == bucket => *seen &= all_seen,
            _ => kept.push((bucket, all_seen)),
        }
    }
    // Those that go on in the same state are one bar: first bucket, end, state.
    let mut runs: Vec<(usize, usize, bool)> = Vec::new();
    let step = usual_step(&kept);
    for (place, (bucket, seen)) in kept.iter().copied().enumerate() {
        // Up to the next, where that is not missing.
        let next = kept.get(place + 1).map(|(next, _)| *next);
        let end = next
            .filter(|next| (bucket..=bucket + 2 * step).contains(next))
            .unwrap_or(bucket + step)
            .clamp(bucket + 1, MOST_POINTS.max(bucket + 1));
        match runs.last_mut() {
            Some((_, before, same)) if *before == bucket && *same == seen => *before = end,
            _ => runs.push((bucket, end, seen)),
        }
    }
    page.raw("<svg class=\"bars\" viewBox=\"0 0 160 32\" preserveAspectRatio=\"none\" aria-hidden=\"true\" focusable=\"false\">");
    for (first, end, seen) in runs {
        // What was not seen is higher, for those who see no colour.
        page.raw("<rect ")
            .raw(if seen {
                "class=\"seen\" height=\"20\" y=\"12"
            } else {
                "class=\"gone\" height=\"32\" y=\"0"
            })
            .raw("\" x=\"")
            .number(first * 2)
            .raw("\" width=\"")
            .number(end.saturating_sub(first) * 2)
            .raw("\"/>");
    }
    let sum = |number: fn(&SeenPoint) -> u32| {
        let numbers = points.iter().map(number);
        numbers.fold(0_u32, u32::saturating_add)
    };
    let (looks, seen) = (sum(|point| point.looks), sum(|point| point.seen));
    // All of them is 100 %, and nothing less is.
    let part = (1000.0 * f64::from(seen) / f64::from(looks.max(1))).floor() / 10.0;
    page.raw("</svg> <span>")
        .number(part)
        .raw(" % of ")
        .number(looks)
        .raw(" runs</span>");
}

/// How far apart points stand in most cases.
fn usual_step(kept: &[(usize, bool)]) -> usize {
    let next = kept.iter().skip(1);
    let steps = kept.iter().zip(next);
    let mut steps: Vec<usize> = steps
        .map(|((one, _), (other, _))| other.saturating_sub(*one).max(1))
        .collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(1)
}
