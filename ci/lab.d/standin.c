/* A stand-in for the OpenClaw gateway 2026.6.10: what can be seen of it from outside, in a megabyte.
 *
 *   node …/openclaw/dist/index.js gateway --port N     as an installed service starts it
 *   openclaw gateway [--port N]                        by hand: the process title becomes `openclaw`
 *
 * Faults, as options after `gateway` or in the environment (--start-delay = STANDIN_START_DELAY)
 * or in /run/standin.env:
 *   --hang               listens, never accepts
 *   --crash-after S      exits 1 after S seconds, as after an uncaught exception
 *   --start-delay S      listens only after S seconds
 *   and the others, in the environment only: standin-faults.h
 * The real waits can be shortened: STANDIN_LOCK_WAIT_MS (5000), STANDIN_BIND_WAIT_MS (10000),
 * STANDIN_HEALTH_WAIT_MS (30000). `ci/lab compare-standin` holds it against the real one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "standin-sha.h"
#include "standin-json5.h"

#define EX_CONFIG 78
#define CLIENTS 64

static char home[300], config_path[400], lock_path[400], log_path[400], own_path[400];
static int port = 18789;
static int64_t started_ms;
static volatile sig_atomic_t caught;

static int64_t now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(long ms) { struct timespec t = {ms / 1000, ms % 1000 * 1000000}; nanosleep(&t, NULL); }

static long env_number(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

/* 2026-11-20T09:41:37.504+00:00 */
static void stamp(char *out, size_t size)
{
    struct timespec t;
    struct tm local;
    char day[40], zone[8];
    clock_gettime(CLOCK_REALTIME, &t);
    localtime_r(&t.tv_sec, &local);
    strftime(day, sizeof day, "%FT%T", &local);
    strftime(zone, sizeof zone, "%z", &local);
    snprintf(out, size, "%s.%03ld%.3s:%s", day, t.tv_nsec / 1000000, zone, zone + 3);
}

/* To the journal, with the time in front, and to the log file as one JSON object. */
static void say(FILE *to, const char *format, ...)
{
    char when[80], text[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    stamp(when, sizeof when);
    fprintf(to, "%s %s\n", when, text);
    fflush(to);
    FILE *log = *log_path ? fopen(log_path, "ae") : NULL;
    if (!log) return;
    char quoted[4100], *q = quoted;
    const char *bare = *text == '[' && strstr(text, "] ") ? strstr(text, "] ") + 2 : text;
    for (const char *c = bare; *c; c++) {
        if (*c == '"' || *c == '\\') *q++ = '\\';
        *q++ = *c;
    }
    *q = 0;
    fprintf(log, "{\"0\":\"{\\\"subsystem\\\":\\\"gateway\\\"}\",\"1\":\"%s\",\"_meta\":{\"runtime\":\"node\",\"logLevelName\":\"%s\"},"
            "\"time\":\"%s\",\"message\":\"%s\"}\n", quoted, to == stderr ? "ERROR" : "INFO", when, quoted);
    fclose(log);
}

static char *read_file(const char *path);

/* What a scenario asks of the stand-in, kept out of the unit so that units look like real ones. */
static void read_planted_settings(const char *path)
{
    char *text = read_file(path), *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, '=');
        if (!value) continue;
        *value++ = 0;
        setenv(line, value, 0);
    }
}

static char *read_file(const char *path)
{
    static char text[1 << 18];
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

static void set_paths(void)
{
    const char *set = getenv("HOME"), *config = getenv("OPENCLAW_CONFIG_PATH"), *tmp = getenv("TMPDIR");
    const char *state = getenv("OPENCLAW_STATE_DIR"), *profile = getenv("OPENCLAW_PROFILE");
    char directory[300], own_state[340];
    int named = profile && *profile && strcmp(profile, "default");
    snprintf(home, sizeof home, "%s", set && *set ? set : "/root");
    snprintf(own_state, sizeof own_state, "%.250s/.openclaw%s%.40s", home, named ? "-" : "", named ? profile : "");
    if (config && *config) snprintf(config_path, sizeof config_path, "%s", config);
    else snprintf(config_path, sizeof config_path, "%.340s/openclaw.json", state && *state ? state : own_state);
    snprintf(directory, sizeof directory, "%.200s/openclaw-%d", tmp && *tmp ? tmp : "/tmp", (int)getuid());
    mkdir(directory, 0755);
    snprintf(lock_path, sizeof lock_path, "%s/gateway.%08x.lock", directory, sha256_first_word(config_path));
    /* The first user to log owns /tmp/openclaw; others get a directory of their own. */
    char day[80];
    time_t now = time(NULL);
    struct tm local;
    struct stat about;
    char date[20];
    strftime(date, sizeof date, "%F", localtime_r(&now, &local));
    snprintf(day, sizeof day, "openclaw-%.40s%s%s.log", named ? profile : "", named ? "-" : "", date);
    mkdir("/tmp/openclaw", 0700);
    if (stat("/tmp/openclaw", &about) || about.st_uid != getuid())
        snprintf(log_path, sizeof log_path, "%s/%s", directory, day);
    else
        snprintf(log_path, sizeof log_path, "/tmp/openclaw/%s", day);
    umask(077);
}

/* ---- configuration ---- */

static int listens_everywhere;

static int config_has_unknown_key(const char *text);

/* `none`, or a way to sign in that is set up; a bind beyond loopback asks for the latter. */
static void check_auth(const char *text)
{
    char bind[40], mode[40], secret[200], *open = getenv("STANDIN_OPEN");
    int found = json5_get(text, ".gateway.auth.token", secret, sizeof secret) == 1
        || json5_get(text, ".gateway.auth.password", secret, sizeof secret) == 1;
    if (json5_get(text, ".gateway.bind", bind, sizeof bind) < 1) strcpy(bind, "loopback");
    if (json5_get(text, ".gateway.auth.mode", mode, sizeof mode) < 1) strcpy(mode, "token");
    listens_everywhere = strcmp(bind, "loopback") != 0;
    if (!strcmp(mode, "none"))
        say(stderr, "[gateway] auth mode=none explicitly configured; all gateway connections are unauthenticated.");
    if (listens_everywhere && (!strcmp(mode, "none") || !found) && !(open && *open)) {
        say(stderr, "Refusing to bind gateway to %s without auth.", bind);
        fprintf(stderr, "Set gateway.auth.token/password (or OPENCLAW_GATEWAY_TOKEN/OPENCLAW_GATEWAY_PASSWORD) or pass "
                "--token/--password.\n");
        exit(EX_CONFIG);
    }
}

static void audit_line(void)
{
    say(stderr, "Config write audit: %.280s/.openclaw/logs/config-audit.jsonl", home);
}

static void check_config(void)
{
    char mode[200], value[200];
    char *text = read_file(config_path);
    if (!text) {
        say(stderr, "Missing config. Run `openclaw setup` or set gateway.mode=local (or pass --allow-unconfigured).");
        exit(EX_CONFIG);
    }
    if (json5_get(text, ".gateway.mode", mode, sizeof mode) < 1) {
        say(stderr, "Gateway start blocked: existing config is missing gateway.mode. Treat this as suspicious or "
            "clobbered config. Re-run `openclaw onboard --mode local` or `openclaw setup`, set gateway.mode=local "
            "manually, or pass --allow-unconfigured.");
        audit_line();
        exit(EX_CONFIG);
    }
    if (strcmp(mode, "local")) {
        say(stderr, "Gateway start blocked: set gateway.mode=local (current: %s) or pass --allow-unconfigured.", mode);
        audit_line();
        exit(EX_CONFIG);
    }
    check_auth(text);
    say(stdout, "[gateway] starting...");
    if (config_has_unknown_key(text)) {
        say(stderr, "Gateway failed to start: Invalid config at %s.", config_path);
        fprintf(stderr, "gateway: Invalid input\nRun \"openclaw doctor --fix\" to repair, then retry.\n"
            "If startup is still blocked, inspect the adjacent .bak backup before restoring it manually.. "
            "Run openclaw gateway status --deep for diagnostics.\n");
        exit(1);
    }
    if (json5_get(text, ".gateway.port", value, sizeof value) == 1 && !isdigit((unsigned char)*value)) {
        say(stderr, "Gateway failed to start: Invalid config at %s.", config_path);
        fprintf(stderr, "gateway.port: Invalid input\nRun \"openclaw doctor --fix\" to repair, then retry.\n"
            "If startup is still blocked, inspect the adjacent .bak backup before restoring it manually.. "
            "Run openclaw gateway status --deep for diagnostics.\n");
        exit(1);
    }
}

#include "standin-rival.h"
#include "standin-faults.h"

static int listen_on(int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_loopback};
    int yes = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    v4.sin_addr.s_addr = htonl(listens_everywhere ? INADDR_ANY : INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (!bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
              family == AF_INET ? sizeof v4 : sizeof v6) && !listen(fd, 511)) return fd;
    close(fd);
    return -1;
}

#include "standin-http.h"

/* ---- life ---- */

static void on_signal(int number) { caught = number; }

static void show_title(int argc, char **argv, const char *title)
{
    char *end = argv[argc - 1] + strlen(argv[argc - 1]);
    size_t room = (size_t)(end - argv[0]);
    memset(argv[0], 0, room);
    strncpy(argv[0], title, room);
    prctl(PR_SET_NAME, title);
}

/* A helper process in the same cgroup that never listens, as later versions have them. */
static void start_helper(void)
{
    if (fork()) return;
    char script[440];
    snprintf(script, sizeof script, "%.380s/process/spawn-broker/worker.js", own_path);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execl("/proc/self/exe", "node", script, (char *)NULL);
    _exit(1);
}

/* What the log of a gateway says after a turn whose first model could not be resolved. */
static void log_model_fallback(void)
{
    char first[200], second[200], *text = read_file(config_path);
    if (!text || json5_get(text, ".agents.defaults.model.primary", first, sizeof first) < 1
        || json5_get(text, ".agents.defaults.model.fallbacks.0", second, sizeof second) < 1
        || strncmp(first, "nosuch/", 7)) return;
    say(stderr, "[model-fallback/decision] model fallback decision: decision=candidate_failed requested=%s candidate=%s "
        "reason=model_not_found next=%s detail=Unknown model: %s", first, first, second, first);
    say(stderr, "[model-fallback/decision] model fallback decision: decision=candidate_succeeded requested=%s "
        "candidate=%s reason=unknown next=none", first, second);
    say(stderr, "[model-fallback] Model \"%s\" not found. Fell back to \"%s\".", first, second);
}

static _Noreturn void stop(void)
{
    const char *respawn = getenv("STANDIN_RESPAWN");
    if (caught == SIGUSR1 && respawn && *respawn) {
        respawn_detached();
    } else if (caught == SIGUSR1) {
        say(stdout, "[gateway] signal SIGUSR1 received");
        say(stdout, "[gateway] received SIGUSR1; restarting");
        say(stdout, "[shutdown] started: gateway restarting");
        say(stdout, "[gateway] restart mode: full process restart (supervisor restart)");
    } else {
        const char *name = caught == SIGINT ? "SIGINT" : "SIGTERM";
        say(stdout, "[gateway] signal %s received", name);
        say(stdout, "[gateway] received %s; shutting down", name);
        say(stdout, "[shutdown] started: gateway stopping");
        say(stdout, "[gmail-watcher] gmail watcher stopped");
        say(stdout, "[shutdown] completed cleanly in 12ms");
    }
    unlink(lock_path);
    exit(0);
}

static void run_gateway(long start_delay, long crash_after, int hang)
{
    int fds[2] = {-1, -1};
    long left = env_number("STANDIN_BIND_WAIT_MS", 10000);
    char model[200] = "", *text;

    say(stdout, "[gateway] loading configuration\xe2\x80\xa6");
    say(stdout, "[gateway] resolving authentication\xe2\x80\xa6");
    check_config();
    kill_stale_gateways();
    take_state_lock();
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (int64_t until = now_ms(CLOCK_MONOTONIC) + start_delay * 1000; now_ms(CLOCK_MONOTONIC) < until; sleep_ms(50))
        if (caught) stop();
    say(stdout, "[gateway] starting HTTP server...");
    say(stdout, "[health-monitor] started (interval: 300s, startup-grace: 60s, channel-connect-grace: 120s)");
    while ((fds[0] = listen_on(AF_INET)) < 0 && left > 0) {
        if (caught) stop();
        sleep_ms(500);
        left -= 500;
    }
    if (fds[0] < 0) {
        char cause[300];
        say(stdout, "[shutdown] started: gateway startup failed");
        say(stdout, "[gmail-watcher] gmail watcher stopped");
        say(stdout, "[shutdown] completed cleanly in 14ms");
        unlink(lock_path);
        snprintf(cause, sizeof cause, "another gateway instance is already listening on ws://127.0.0.1:%d | listen "
                 "EADDRINUSE: address already in use 127.0.0.1:%d | EADDRINUSE", port, port);
        refuse(cause);
    }
    fds[1] = listens_everywhere ? -1 : listen_on(AF_INET6);
    text = read_file(config_path);
    if (!text || json5_get(text, ".agents.defaults.model.primary", model, sizeof model) < 1)
        if (!text || json5_get(text, ".agents.defaults.model", model, sizeof model) < 1)
            strcpy(model, "openai/gpt-5.5");
    say(stdout, "[gateway] agent model: %s (thinking=medium, fast=off)", model);
    say(stdout, "[gateway] http server listening (7 plugins: browser, canvas, device-pair, file-transfer, "
        "memory-core, phone-control, talk-voice; 0.5s)");
    say(stdout, "[gateway] log file: %s", log_path);
    say(stdout, "[gateway] starting channels and sidecars...");
    say(stdout, "[gateway] ready");
    say(stdout, "[heartbeat] started");
    if (getenv("STANDIN_LOG") && *getenv("STANDIN_LOG")) say(stderr, "%s", getenv("STANDIN_LOG"));
    text = read_file(config_path);
    if (text && json5_get(text, ".gateway.http.endpoints.chatCompletions.enabled", model, sizeof model) == 1)
        models_open = !strcmp(model, "true") && json5_get(text, ".gateway.auth.token", models_token, sizeof models_token) == 1;
    watch_config();
    open_debug_port();
    start_child();
    started_ms = now_ms(CLOCK_MONOTONIC);
    log_model_fallback();

    /* Blocked but while waiting, or a signal that comes just before the wait would be slept over. */
    sigset_t block, unblocked;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &unblocked);
    for (;;) {
        int64_t up = now_ms(CLOCK_MONOTONIC) - started_ms;
        if (caught) stop();
        if (crash_after >= 0 && up >= crash_after * 1000) crash();
        long wait = crash_after * 1000 - up + 1;
        struct timespec limit = {wait / 1000, wait % 1000 * 1000000};
        serve(fds, hang, crash_after >= 0 ? &limit : NULL, &unblocked);
    }
}

/* The value of --NAME, or of STANDIN_NAME in the environment; `otherwise` where neither is given. */
static const char *option(int argc, char **argv, const char *name, const char *variable, const char *otherwise)
{
    for (int i = 1; i < argc; i++) {
        size_t length = strlen(name);
        if (!strncmp(argv[i], name, length) && argv[i][length] == '=') return argv[i] + length + 1;
        if (!strcmp(argv[i], name)) return i + 1 < argc ? argv[i + 1] : "1";
    }
    const char *value = getenv(variable);
    return value && *value ? value : otherwise;
}

int main(int argc, char **argv)
{
    int first = 1, by_hand;
    const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    const char *dist;

    if (!strcmp(base, "lsof")) return be_lsof(argc, argv);
    by_hand = !strncmp(base, "openclaw", 8);
    if (by_hand && argc > 2 && !strcmp(argv[1], "--profile")) {
        setenv("OPENCLAW_PROFILE", argv[2], 1);
        first = 3;
    }
    if (!by_hand && argc > 1) {
        if (strstr(argv[1], "worker.js")) {
            prctl(PR_SET_NAME, "node");
            for (;;) pause();
        }
        dist = strstr(argv[1], "/index.js");
        if (dist) snprintf(own_path, sizeof own_path, "%.*s", (int)(dist - argv[1]), argv[1]);
        first = 2;
    }
    if (!*own_path) strcpy(own_path, "/opt/clawfleet-lab/lib/node_modules/openclaw/dist");
    if (argc > first && !strcmp(argv[first], "--version")) {
        puts(by_hand || first == 2 ? "OpenClaw 2026.6.10 (aa69b12)" : "v22.23.3");
        return 0;
    }
    if (!by_hand && first == 1) { puts("v22.23.3"); return 0; }
    if (by_hand && argc > first && !strcmp(argv[first], "tui")) {
        port = atoi(option(argc, argv, "--port", "OPENCLAW_GATEWAY_PORT", "18789"));
        show_title(argc, argv, "openclaw-tui");
        be_client();
    }
    if (argc <= first || strcmp(argv[first], "gateway")) {
        fprintf(stderr, "OpenClaw does not know the command \"%s\".\n", argc > first ? argv[first] : "");
        return 1;
    }
    char own_settings[60];
    port = atoi(option(argc, argv, "--port", "OPENCLAW_GATEWAY_PORT", "18789"));
    snprintf(own_settings, sizeof own_settings, "/run/standin-%d.env", port);
    read_planted_settings(own_settings);
    read_planted_settings("/run/standin.env");
    long delay = atol(option(argc, argv, "--start-delay", "STANDIN_START_DELAY", "0"));
    long crash = atol(option(argc, argv, "--crash-after", "STANDIN_CRASH_AFTER", "-1"));
    int hang = strcmp(option(argc, argv, "--hang", "STANDIN_HANG", ""), "") != 0;
    const char *name = getenv("STANDIN_COMM"); /* Node 24 calls its main thread MainThread */
    signal(SIGCHLD, SIG_IGN);
    set_paths();
    start_helper();
    if (by_hand) show_title(argc, argv, "openclaw");
    else if (name && *name) prctl(PR_SET_NAME, name);
    run_gateway(delay, crash, hang);
}
