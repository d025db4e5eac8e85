//! The inventory's token: had once, sent to gateways only, and told to nobody.

use crate::http::{READY_6_10, check, forwarding, http, start};
use crate::support::lab::Lab;
use crate::support::program;
use crate::support::report::Checked;
use crate::support::web::{Answer, Socket, Web};

const TOKEN: &str = "tok-0123456789abcdef";
const MODELS: &str = r#"{"object":"list","data":[{"id":"openclaw"},{"id":"openclaw/main"}]}"#;

fn gateway() -> Web {
    Web::gateway(READY_6_10)
        .with("/v1/models", Answer::Body(200, MODELS.to_owned()))
        .socket(Socket::Gateway(TOKEN.to_owned()))
}

/// A command whose output is that token and whose text is not.
fn prints(lab: &Lab, token: &str) -> String {
    let file = lab.write("token", token);
    format!(
        "{{command: \"echo run >>{0}.log; cat {0}\"}}",
        file.display()
    )
}

#[test]
fn with_a_token_models_are_counted_and_the_gateway_greets() {
    let mut lab = Lab::new();
    let web = gateway();
    let server = start(&lab, &web);
    let token = format!(", token: {}", prints(&lab, TOKEN));
    let checked = check(&mut lab, &server, &token, "");
    let http = http(&checked);
    assert_eq!(http["models"]["status"], 200, "{http:#}");
    assert_eq!(http["models"]["count"], 2);
    assert_eq!(http["websocket"]["challenge"], true);
    assert_eq!(http["websocket"]["hello"], true);
    let mut seen = web.seen();
    seen.sort();
    let bearer = format!("/v1/models Bearer {TOKEN}");
    assert_eq!(
        seen,
        ["/healthz", "/readyz", &bearer, "connect", "websocket /"]
    );
    assert!(!checked.json.to_string().contains(TOKEN));
}

#[test]
fn a_wrong_token_is_refused_in_the_gateways_words() {
    let mut lab = Lab::new();
    let refused = r#"{"error":{"message":"Unauthorized","type":"unauthorized"}}"#;
    let web = gateway().with("/v1/models", Answer::Body(401, refused.to_owned()));
    let server = start(&lab, &web);
    let token = format!(", token: {}", prints(&lab, "wrong"));
    let checked = check(&mut lab, &server, &token, "");
    let http = http(&checked);
    assert_eq!(http["models"]["error"], "token-refused", "{http:#}");
    assert_eq!(http["models"]["status"], 401);
    assert_eq!(http["websocket"]["hello"], false);
    assert_eq!(
        http["websocket"]["error"],
        "AUTH_TOKEN_MISMATCH: unauthorized, …"
    );
}

#[test]
fn a_token_is_had_once_and_told_to_nobody() {
    let mut lab = Lab::new();
    let server = start(&lab, &gateway());
    let token = prints(&lab, TOKEN);
    for name in ["one", "two", "three"] {
        let host = lab.fake(forwarding());
        lab.add(
            name,
            host.port,
            &format!(
                "role: gateway, service: {{unit: no-such.service, port: {}, token: {token}}}",
                server.port
            ),
        );
    }
    let names = lab.names();
    let mut command = lab.command(&["-vvv", "--format", "json", "check", "all"]);
    command.env("CLAWFLEET_LOG", "trace");
    let run = program::run(command);
    assert!(run.stderr.contains("clawfleet"), "there is a log");
    assert!(!run.stderr.contains(TOKEN), "{}", run.stderr);
    let checked = Checked::of(run, &names);
    assert_eq!(http(&checked)["websocket"]["hello"], true);
    assert!(!checked.json.to_string().contains(TOKEN));
    let runs = std::fs::read_to_string(lab.path("token.log")).unwrap();
    assert_eq!(runs.lines().count(), 1, "the command ran once");
    let shown = program::run(lab.command(&["inventory", "show", "one"]));
    shown.exits(0);
    assert!(shown.out().contains("service.token"), "{}", shown.out());
    assert!(!shown.out().contains(TOKEN));
}

#[test]
fn a_token_is_not_sent_to_what_is_no_gateway() {
    let mut lab = Lab::new();
    let mut web = Web::new();
    web.other = Answer::Body(200, "It works!".to_owned());
    let server = start(&lab, &web);
    let token = format!(", token: {}", prints(&lab, TOKEN));
    let checked = check(&mut lab, &server, &token, "");
    let http = http(&checked);
    assert_eq!(http["models"]["error"], "not-asked", "{http:#}");
    let why = http["models"]["why"].as_str().unwrap();
    assert!(why.contains("was not sent"), "{why}");
    assert!(web.seen().iter().all(|request| !request.contains(TOKEN)));
}

#[test]
fn a_variable_holds_the_token_or_the_line_is_named() {
    let mut lab = Lab::new();
    let server = start(&lab, &gateway());
    let host = lab.fake(forwarding());
    lab.add(
        "one",
        host.port,
        &format!(
            "role: gateway, service: {{unit: no-such.service, port: {}, token: {{env: GW_TOKEN}}}}",
            server.port
        ),
    );
    let args = ["--format", "json", "check", "all"];
    let mut command = lab.command(&args);
    command.env("GW_TOKEN", TOKEN);
    let checked = Checked::of(program::run(command), &lab.names());
    assert_eq!(http(&checked)["websocket"]["hello"], true);
    let before = server.accepted();
    let missing = program::run(lab.command(&args));
    missing.exits(78).prints_nothing().complains(&[
        "inventory.yaml:8:1",
        "`one`",
        "GW_TOKEN is not set",
        "export GW_TOKEN=",
    ]);
    assert_eq!(server.accepted(), before, "no host was asked");
}

#[test]
fn a_command_that_fails_is_an_error_of_the_inventory() {
    let mut lab = Lab::new();
    let host = lab.fake(forwarding());
    lab.add(
        "one",
        host.port,
        "service: {unit: a.service, token: {command: \"echo hush; exit 3\"}}",
    );
    let run = program::run(lab.command(&["check", "all"]));
    run.exits(78).prints_nothing().complains(&[
        "inventory.yaml:8:1",
        "exit status: 3",
        "run it by hand",
    ]);
}

#[test]
fn a_token_in_the_inventory_is_refused_and_not_repeated() {
    for token in [
        "tok-0123456789abcdef",
        "{value: tok-0123456789abcdef}",
        "{env: tok-0123456789abcdef}",
        "{env: tok-0123456789abcdef, command: a}",
        "[tok-0123456789abcdef]",
        "{env: {a: tok-0123456789abcdef}}",
    ] {
        let mut lab = Lab::new();
        lab.add("one", 22, &format!("service: {{token: {token}}}"));
        let run = program::run(lab.command(&["check", "all"]));
        run.exits(78)
            .prints_nothing()
            .complains(&["inventory.yaml:8:"]);
        assert!(!run.stderr.contains("0123456789"), "{}", run.stderr);
    }
}
