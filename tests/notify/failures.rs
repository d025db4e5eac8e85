//! What a receiver can do wrong.

use std::time::{Duration, Instant};

use clawfleet::notify::Proxies;

use crate::receiver::{Answer, Receiver, answer};
use crate::{from, secrets, send, send_to, send_within, spec, webhook};
use clawfleet::model::Target;
use std::collections::BTreeMap;

#[tokio::test]
async fn one_that_is_down_is_tried_again_later() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let sent = send_to(webhook(&format!("http://127.0.0.1:{port}/"))).await;
    sent.waits(&["connect to 127.0.0.1", "refused"]);
}

#[tokio::test]
async fn a_name_that_is_none_is_tried_again_later() {
    let mut channel = spec(webhook("https://no-such-host.invalid/"));
    channel.proxy = false;
    let sent = send(&channel, &BTreeMap::new()).await;
    sent.waits(&["DNS", "no-such-host.invalid"]);
}

#[tokio::test]
async fn too_many_requests_wait_as_long_as_they_are_asked_to() {
    let receiver = Receiver::always(answer(429, "Retry-After: 120\r\n", "slow down")).await;
    let sent = send_to(webhook(&receiver.url("/"))).await;
    sent.waits(&["429", "slow down"]);
    let entry = &sent.outbox[0];
    let wait = entry.next_at.duration_since(jiff::Timestamp::now());
    assert!((110..=120).contains(&wait.as_secs()), "{wait}");
    assert!(entry.asked);
    // Without a word of it, as long as we wait for anything.
    let receiver = Receiver::always(answer(429, "", "")).await;
    let sent = send_to(webhook(&receiver.url("/"))).await;
    sent.waits(&["429"]);
    let wait = sent.outbox[0]
        .next_at
        .duration_since(jiff::Timestamp::now());
    assert!((1..=5).contains(&wait.as_secs()), "{wait}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn one_that_recovers_within_the_run_gets_it() {
    let mut tries = 0;
    let receiver = Receiver::start(move |_| {
        tries += 1;
        match tries {
            1 => answer(500, "", "oops"),
            _ => answer(200, "", ""),
        }
    })
    .await;
    let channel = spec(webhook(&receiver.url("/")));
    let sent = send_within(&channel, &BTreeMap::new(), &Proxies::default(), 9000).await;
    sent.arrived();
    let requests = receiver.requests();
    // The same message, by its id.
    let ids: Vec<&str> = requests
        .iter()
        .map(|it| it.header("idempotency-key"))
        .collect();
    assert!(ids.len() == 2 && ids[0] == ids[1] && !ids[0].is_empty());
}

#[tokio::test]
async fn telegram_says_in_its_body_how_long_to_wait() {
    let body = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 35","parameters":{"retry_after":35}}"#;
    let receiver = Receiver::always(answer(429, "", body)).await;
    let channel = spec(Target::Telegram {
        token: from("TOKEN"),
        chat: "@ops".into(),
        topic: None,
        api: receiver.url(""),
    });
    let sent = send(&channel, &secrets(&[("TOKEN", "42:AAs3cret")])).await;
    sent.waits(&["Too Many Requests"]);
    let wait = sent.outbox[0]
        .next_at
        .duration_since(jiff::Timestamp::now());
    assert!((30..=35).contains(&wait.as_secs()), "{wait}");
}

#[tokio::test]
async fn what_a_status_means() {
    for status in [408, 429, 500, 502, 503, 504] {
        let receiver = Receiver::always(answer(status, "", "")).await;
        let sent = send_to(webhook(&receiver.url("/"))).await;
        sent.waits(&[&status.to_string()]);
    }
    for (status, words) in [
        (400, "the right `type`"),
        (401, "`secret`"),
        (403, "`secret`"),
        (404, "`url`"),
        (410, "`url`"),
        (413, "`classes`"),
    ] {
        let receiver = Receiver::always(answer(status, "", "because")).await;
        let sent = send_to(webhook(&receiver.url("/"))).await;
        sent.given_up(&[&status.to_string(), "because", words]);
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[tokio::test]
async fn one_that_hangs_costs_its_timeout_and_no_more() {
    let receiver = Receiver::always(Answer::Hang).await;
    let mut channel = spec(webhook(&receiver.url("/")));
    channel.timeout = Duration::from_millis(700);
    let begin = Instant::now();
    let sent = send(&channel, &BTreeMap::new()).await;
    sent.waits(&["no answer within 0.7 s"]);
    assert!(begin.elapsed() < Duration::from_secs(2));
    // The run's deadline is the shorter one.
    channel.timeout = Duration::from_secs(60);
    let begin = Instant::now();
    let sent = send_within(&channel, &BTreeMap::new(), &Proxies::default(), 1000).await;
    sent.waits(&["no answer"]);
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn without_time_nothing_is_begun() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let channel = spec(webhook(&receiver.url("/")));
    let sent = send_within(&channel, &BTreeMap::new(), &Proxies::default(), 100).await;
    assert_eq!((sent.delivery.waiting, sent.outbox.len()), (1, 1));
    assert_eq!(sent.outbox[0].attempts, 0);
    assert!(receiver.requests().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_cut_off() {
    // Who says 204 or 200 has it, whatever becomes of the rest.
    let cut = Answer::Raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"co".into());
    let receiver = Receiver::always(cut.clone()).await;
    send_to(webhook(&receiver.url("/"))).await.arrived();
    // Where the body decides, it is not known: it is sent again, under the same id.
    let secrets = secrets(&[("URL", &receiver.url("/"))]);
    let channel = spec(Target::Feishu {
        url: from("URL"),
        secret: None,
    });
    send(&channel, &secrets)
        .await
        .waits(&["not as this service does"]);
    for bytes in [
        "",
        "HTTP/1.1 2",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0",
        "HTTP/1.1 999999 x\r\n\r\n",
    ] {
        let receiver = Receiver::always(Answer::Raw(bytes.into())).await;
        let sent = send_to(webhook(&receiver.url("/"))).await;
        sent.waits(&["HTTP"]);
    }
}

#[tokio::test]
async fn answers_without_end_are_not_read_to_it() {
    for begin in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let receiver = Receiver::always(Answer::Endless(begin.into())).await;
        let begin = Instant::now();
        send_to(webhook(&receiver.url("/"))).await.arrived();
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    // A head without end.
    let receiver = Receiver::always(Answer::Endless("HTTP/1.1 200 OK\r\nX: ".into())).await;
    let sent = send_to(webhook(&receiver.url("/"))).await;
    sent.waits(&["HTTP"]);
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let other = Receiver::always(answer(200, "", "")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("Location: {}\r\n", other.url("/s3cret-place"));
        let receiver = Receiver::always(answer(status, &to, "")).await;
        let sent = send_to(webhook(&receiver.url("/"))).await;
        sent.given_up(&["a redirect to http://127.0.0.1", "not followed"]);
        assert!(!sent.delivery.given_up[0].contains("s3cret-place"));
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_receiver_that_repeats_the_secret_does_not_make_it_known() {
    let receiver =
        Receiver::start(|request| answer(404, "", &format!("no such hook: {}", request.target())))
            .await;
    let secrets = secrets(&[("URL", &receiver.url("/services/T012345/B012345/s3cr3tw0rd"))]);
    let channel = spec(Target::Slack { url: from("URL") });
    let sent = send(&channel, &secrets).await;
    sent.given_up(&["no such hook", "(hidden)"]);
    assert!(!format!("{:?}", sent.delivery).contains("s3cr3tw0rd"));
}
