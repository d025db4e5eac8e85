//! Each service, checking what the real one checks.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding as _};
use clawfleet::model::{Address, Target};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::receiver::{Answer, Receiver, Request, answer, ok};
use crate::{from, secrets, send, spec, webhook};

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn is_json_post(request: &Request) -> bool {
    request.line.starts_with("POST /")
        && request
            .header("content-type")
            .starts_with("application/json")
}

#[tokio::test]
async fn a_webhook_gets_signed_json_that_its_schema_knows() {
    let receiver = Receiver::always(answer(204, "", "")).await;
    let channel = spec(Target::Webhook {
        url: Address::Plain(receiver.url("/alerts")),
        secret: Some(from("KEY")),
    });
    send(&channel, &secrets(&[("KEY", "k3y")])).await.arrived();
    let request = receiver.only();
    assert!(is_json_post(&request));
    let timestamp = request.header("x-clawfleet-timestamp");
    assert!((timestamp.parse::<i64>().unwrap() - now()).abs() < 10);
    let signed = format!("{timestamp}.{}", request.body);
    let wanted = format!("v1={}", hex(&hmac(b"k3y", signed.as_bytes())));
    assert_eq!(request.header("x-clawfleet-signature"), wanted);
    let body = request.json();
    assert_eq!(request.header("idempotency-key"), body["id"]);
    assert_eq!(body["schema"], "clawfleet.alert/1");
    assert_eq!(body["fleet"], "claws");
    assert_eq!(body["incidents"][0]["class"], "orphan-holds-port");
    assert_eq!(body["incidents"][0]["hosts"], "VM[151-153]");
    assert_eq!(body["incidents"][0]["host_count"], 3);
    assert_eq!(body["incidents"][1]["kind"], "recovered");
    assert_eq!(body["summary"]["not_observed"], 1);
    // Every key that is sent stands in the checked-in schema, and every required one is sent.
    let schema: Value =
        serde_json::from_str(include_str!("../../docs/schema/alert.schema.json")).unwrap();
    has_shape(&body, &schema);
    has_shape(&body["incidents"][0], &schema["$defs"]["WireIncident"]);
}

fn has_shape(value: &Value, schema: &Value) {
    for key in value.as_object().unwrap().keys() {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    for key in schema["required"].as_array().unwrap() {
        assert!(value.get(key.as_str().unwrap()).is_some(), "{key}");
    }
}

#[tokio::test]
async fn the_verification_that_the_documentation_shows_works() {
    let receiver = Receiver::always(answer(200, "", "")).await;
    let channel = spec(Target::Webhook {
        url: Address::Plain(receiver.url("/")),
        secret: Some(from("KEY")),
    });
    send(&channel, &secrets(&[("KEY", "k3y")])).await.arrived();
    let request = receiver.only();
    let page = include_str!("../../docs/notify.md");
    let block = |name: &str| {
        let begin = page.split_once(&format!("```{name}\n# verify")).unwrap().1;
        let text = begin.split_once("```").unwrap().0;
        text.split_once('\n').unwrap().1.to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let body = dir.path().join("body");
    std::fs::write(&body, &request.body).unwrap();
    for (program, script) in [("sh", block("sh")), ("python3", block("python"))] {
        for (signature, good) in [
            (request.header("x-clawfleet-signature").to_owned(), true),
            (format!("v1={}", "0".repeat(64)), false),
        ] {
            let ran = std::process::Command::new(program)
                .args(["-c", &script])
                .env("SECRET", "k3y")
                .env("TIMESTAMP", request.header("x-clawfleet-timestamp"))
                .env("SIGNATURE", &signature)
                .env("BODY", &body)
                .output()
                .unwrap();
            assert_eq!(ran.status.success(), good, "{program}: {ran:?}");
        }
    }
}

/// Slack's incoming webhooks.
fn slack(request: &Request) -> Answer {
    let refuse = |why: &str| answer(400, "", why);
    if !is_json_post(request) {
        return refuse("invalid_payload");
    }
    let body = request.json();
    let Some(blocks) = body["blocks"].as_array() else {
        return refuse("no_text");
    };
    if blocks.is_empty() || blocks.len() > 50 || body["text"].as_str().is_none_or(str::is_empty) {
        return refuse("invalid_blocks");
    }
    for block in blocks {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        let length = text.chars().count();
        let fine = match block["type"].as_str() {
            Some("header") => block["text"]["type"] == "plain_text" && (1..=150).contains(&length),
            Some("section") => block["text"]["type"] == "mrkdwn" && (1..=3000).contains(&length),
            Some("context") => {
                let elements = block["elements"].as_array().unwrap();
                (1..=10).contains(&elements.len())
            }
            _ => false,
        };
        if !fine {
            return refuse("invalid_blocks");
        }
    }
    answer(200, "Content-Type: text/html\r\n", "ok")
}

#[tokio::test]
async fn slack_takes_it() {
    let receiver = Receiver::start(slack).await;
    let secrets = secrets(&[("URL", &receiver.url("/services/T0/B0/s3cret"))]);
    let channel = spec(Target::Slack { url: from("URL") });
    send(&channel, &secrets).await.arrived();
    let request = receiver.only();
    assert_eq!(request.target(), "/services/T0/B0/s3cret");
    let body = request.json().to_string();
    assert!(body.contains("VM[151-153]") && body.contains("clawfleet fix"));
}

/// Feishu's custom bots, with signatures on.
fn feishu(secret: &'static str) -> impl FnMut(&Request) -> Answer {
    move |request| {
        if !is_json_post(request) || request.body.len() > 20 * 1000 {
            return ok(r#"{"code":9499,"msg":"Bad Request","data":{}}"#);
        }
        let body = request.json();
        let timestamp = body["timestamp"].as_str().unwrap_or_default();
        let key = format!("{timestamp}\n{secret}");
        let sign = Base64::encode_string(&hmac(key.as_bytes(), b""));
        let age = now() - timestamp.parse::<i64>().unwrap_or(0);
        if body["sign"] != sign || age.abs() > 3600 {
            return ok(
                r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}"#,
            );
        }
        if body["msg_type"] != "interactive" || !body["card"]["elements"].is_array() {
            return ok(r#"{"code":9499,"msg":"Bad Request","data":{}}"#);
        }
        ok(r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#)
    }
}

#[tokio::test]
async fn feishu_takes_it_signed_and_says_why_not() {
    let receiver = Receiver::start(feishu("s3cret")).await;
    let url = receiver.url("/open-apis/bot/v2/hook/h00k");
    let channel = spec(Target::Feishu {
        url: from("URL"),
        secret: Some(from("KEY")),
    });
    let good = secrets(&[("URL", &url), ("KEY", "s3cret")]);
    send(&channel, &good).await.arrived();
    assert_eq!(receiver.only().json()["card"]["header"]["template"], "red");
    let bad = secrets(&[("URL", &url), ("KEY", "another")]);
    let sent = send(&channel, &bad).await;
    sent.given_up(&["19021", "sign match fail", "`secret`", "clock"]);
}

/// DingTalk's custom robots, with signatures on.
fn dingtalk(request: &Request) -> Answer {
    let (path, query) = request.target().split_once('?').unwrap();
    let query: BTreeMap<&str, &str> = query
        .split('&')
        .filter_map(|it| it.split_once('='))
        .collect();
    assert_eq!(path, "/robot/send");
    if query.get("access_token") != Some(&"t0ken") {
        return ok(r#"{"errcode":300005,"errmsg":"token is not exist"}"#);
    }
    let timestamp = query.get("timestamp").copied().unwrap_or("0");
    let text = format!("{timestamp}\ns3cret");
    let sign = Base64::encode_string(&hmac(b"s3cret", text.as_bytes()));
    let sign = sign
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let age = now() - timestamp.parse::<i64>().unwrap() / 1000;
    if query.get("sign") != Some(&sign.as_str()) || age.abs() > 3600 {
        return ok(r#"{"errcode":310000,"errmsg":"sign not match"}"#);
    }
    let body = request.json();
    let fine = is_json_post(request)
        && body["msgtype"] == "markdown"
        && body["markdown"]["title"].is_string()
        && body["markdown"]["text"].is_string();
    if !fine || request.body.len() > 20_000 {
        return ok(r#"{"errcode":460101,"errmsg":"message too long, exceed 20000 bytes"}"#);
    }
    ok(r#"{"errcode":0,"errmsg":"ok"}"#)
}

#[tokio::test]
async fn dingtalk_takes_it_signed_and_says_why_not() {
    let receiver = Receiver::start(dingtalk).await;
    let url = receiver.url("/robot/send?access_token=t0ken");
    let channel = spec(Target::DingTalk {
        url: from("URL"),
        secret: Some(from("KEY")),
    });
    send(&channel, &secrets(&[("URL", &url), ("KEY", "s3cret")]))
        .await
        .arrived();
    let sent = send(&channel, &secrets(&[("URL", &url), ("KEY", "wrong!")])).await;
    sent.given_up(&["310000", "sign not match", "`secret`"]);
    let other = receiver.url("/robot/send?access_token=another");
    let sent = send(&channel, &secrets(&[("URL", &other), ("KEY", "s3cret")])).await;
    sent.given_up(&["300005", "no robot"]);
}

fn wecom(request: &Request) -> Answer {
    if request.target() != "/cgi-bin/webhook/send?key=k3y-of-it" {
        return ok(r#"{"errcode":93000,"errmsg":"invalid webhook url, hint: [1]"}"#);
    }
    let body = request.json();
    let content = body["markdown"]["content"].as_str().unwrap_or_default();
    if body["msgtype"] != "markdown" || content.is_empty() || content.len() > 4096 {
        return ok(r#"{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}"#);
    }
    ok(r#"{"errcode":0,"errmsg":"ok"}"#)
}

#[tokio::test]
async fn wecom_takes_it_and_says_why_not() {
    let receiver = Receiver::start(wecom).await;
    let channel = spec(Target::WeCom { url: from("URL") });
    let url = receiver.url("/cgi-bin/webhook/send?key=k3y-of-it");
    send(&channel, &secrets(&[("URL", &url)])).await.arrived();
    let url = receiver.url("/cgi-bin/webhook/send?key=another-key");
    let sent = send(&channel, &secrets(&[("URL", &url)])).await;
    sent.given_up(&["93000", "no robot"]);
}

fn telegram(request: &Request) -> Answer {
    let refuse = |status: u16, why: &str| {
        let body = json!({"ok": false, "error_code": status, "description": why});
        answer(status, "", &body.to_string())
    };
    if request.target() != "/bot42:AAs3cret/sendMessage" {
        return refuse(401, "Unauthorized");
    }
    let body = request.json();
    if body["chat_id"] != -1_001_234 {
        return refuse(400, "Bad Request: chat not found");
    }
    let text = body["text"].as_str().unwrap_or_default();
    if text.encode_utf16().count() > 4096 {
        return refuse(400, "Bad Request: message is too long");
    }
    if body["parse_mode"] != "HTML" || !crate::formats::is_telegram_html(text) {
        return refuse(400, "Bad Request: can't parse entities");
    }
    ok(r#"{"ok":true,"result":{"message_id":7}}"#)
}

#[tokio::test]
async fn telegram_takes_it_and_says_why_not() {
    let receiver = Receiver::start(telegram).await;
    let target = |chat: &str| Target::Telegram {
        token: from("TOKEN"),
        chat: chat.into(),
        topic: Some(9),
        api: receiver.url(""),
    };
    let good = secrets(&[("TOKEN", "42:AAs3cret")]);
    send(&spec(target("-1001234")), &good).await.arrived();
    assert_eq!(receiver.only().json()["message_thread_id"], 9);
    let sent = send(&spec(target("-5")), &good).await;
    sent.given_up(&["chat not found", "`chat`"]);
    let bad = secrets(&[("TOKEN", "42:AAanother")]);
    let sent = send(&spec(target("-1001234")), &bad).await;
    sent.given_up(&["Unauthorized", "`token`"]);
}

/// What each service says when it is asked too much, is busy, or has lost the robot.
#[tokio::test]
async fn codes_in_bodies_tell_what_passes_and_what_stays() {
    let url = from("URL");
    let feishu = || Target::Feishu {
        url: url.clone(),
        secret: None,
    };
    let dingtalk = || Target::DingTalk {
        url: url.clone(),
        secret: None,
    };
    let wecom = || Target::WeCom { url: url.clone() };
    let cases = [
        (feishu(), r#"{"code":11232,"msg":"too many request"}"#, true),
        (feishu(), r#"{"code":19022,"msg":"Ip Not Allowed"}"#, false),
        (
            feishu(),
            r#"{"code":19024,"msg":"Key Words Not Found"}"#,
            false,
        ),
        (feishu(), r#"{"StatusCode":0,"#, true),
        (feishu(), "<html>log in to this network</html>", true),
        (feishu(), "", true),
        (
            dingtalk(),
            r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            true,
        ),
        (dingtalk(), r#"{"errcode":-1,"errmsg":"busy"}"#, true),
        (
            dingtalk(),
            r#"{"errcode":310000,"errmsg":"keywords not in content"}"#,
            false,
        ),
        (
            wecom(),
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            true,
        ),
        (wecom(), r#"{"errcode":"0"}"#, true),
    ];
    for (target, body, passes) in cases {
        let receiver = Receiver::always(ok(body)).await;
        let secrets = secrets(&[("URL", &receiver.url("/x?access_token=1&key=1"))]);
        let sent = send(&spec(target), &secrets).await;
        match passes {
            true => sent.waits(&[]),
            false => sent.given_up(&[]),
        }
    }
    let accepted = Receiver::always(ok(r#"{"StatusCode":0,"StatusMessage":"success"}"#)).await;
    let secrets = secrets(&[("URL", &accepted.url("/"))]);
    send(&spec(feishu()), &secrets).await.arrived();
    crate::send_to(webhook(&accepted.url("/"))).await.arrived();
}
