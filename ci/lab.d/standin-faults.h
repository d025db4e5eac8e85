/* What a scenario asks of the stand-in beyond a plain life: settings in /run/standin.env or, for one of
 * several gateways, in /run/standin-PORT.env. Part of standin.c.
 *   STANDIN_FAULT=silent|500|slow   accepts and never answers; answers 500; answers after 20 s
 *   STANDIN_CRASH_WITH=N|SEGV|ABRT|oom   how STANDIN_CRASH_AFTER ends it (1)
 *   STANDIN_OPEN=1                  listens on every address though nothing asks for a secret
 *   STANDIN_DEBUG_PORT=N            listens there too, as Node's inspector
 *   STANDIN_LOG=TEXT                a line on stderr once it is ready
 *   STANDIN_CHILD=COMMAND           run by a child, in the cgroup of the gateway, once it is ready
 *   STANDIN_RESPAWN=1               SIGUSR1 leaves a detached copy behind, started as from the command line
 */
#include <sys/inotify.h>
#include <sys/wait.h>

static int watcher = -1;
static uint32_t loaded; /* of the text that was last taken */

static int config_is_json5(const char *text)
{
    char value[10];
    return text && json5_get(text, ".", value, sizeof value) >= 0;
}

static char unknown_key[60];

/* The keys of `gateway`, against those that 2026.6.10 knows; the first other one is in `unknown_key`. */
static int config_has_unknown_key(const char *text)
{
    static const char *const known[] = {"mode", "port", "bind", "auth", "controlUi", "http", "reload", "tls", "customBindHost",
        "tailscale", "remote", "trustedProxies", "nodes", "push", "tools", "channelHealthCheckMinutes"};
    const char *section = text ? strstr(text, "\"gateway\"") : NULL;
    int depth = 0, key = 0;
    for (const char *c = section ? strchr(section + 9, '{') : NULL; c && *c; c++) {
        if (*c == '{' || *c == '[') { if (++depth == 1) key = 1; continue; }
        if (*c == '}' || *c == ']') { if (--depth == 0) return 0; continue; }
        if (*c == ',') { key = depth == 1; continue; }
        if (*c != '"') continue;
        const char *end = strchr(c + 1, '"');
        if (!end) return 0;
        if (key && depth == 1) {
            int found = 0;
            for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                found |= strlen(known[i]) == (size_t)(end - c - 1) && !strncmp(known[i], c + 1, strlen(known[i]));
            if (!found) {
                snprintf(unknown_key, sizeof unknown_key, "%.*s", (int)(end - c - 1), c + 1);
                return 1;
            }
        }
        key = 0;
        c = end;
    }
    return 0;
}

static void watch_config(void)
{
    char directory[400];
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(config_path, '/') - config_path), config_path);
    char *text = read_file(config_path);
    if (text) loaded = sha256_first_word(text);
    watcher = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watcher >= 0) inotify_add_watch(watcher, directory, IN_CLOSE_WRITE | IN_MOVED_TO);
}

/* As the real one: a broken file is not taken, the gateway serves on with what it has. Nothing is said
 * when the file is what it was again. */
static void config_changed(void)
{
    char events[4096], value[200];
    const char *name = strrchr(config_path, '/') + 1;
    ssize_t n = read(watcher, events, sizeof events);
    int ours = 0;
    for (char *at = events; n > 0 && at < events + n; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len)
        if (((struct inotify_event *)at)->len && !strcmp(((struct inotify_event *)at)->name, name)) ours = 1;
    if (!ours) return;
    sleep_ms(300);
    char *text = read_file(config_path);
    if (!config_is_json5(text)) {
        say(stderr, "[reload] config reload skipped (invalid config): : JSON5 parse failed: SyntaxError: JSON5: invalid end of input at 2:1");
    } else if (config_has_unknown_key(text)) {
        say(stderr, "[reload] config reload skipped (invalid config): gateway: Unrecognized key: \"%s\"", unknown_key);
    } else if (json5_get(text, ".gateway.port", value, sizeof value) == 1 && !isdigit((unsigned char)*value)) {
        say(stderr, "[reload] config reload skipped (invalid config): gateway.port: Invalid input");
    } else if (sha256_first_word(text) != loaded) {
        loaded = sha256_first_word(text);
        say(stdout, "[reload] config change detected; evaluating reload (agents)");
    }
}

static int is_gateway(long pid)
{
    char path[60], command[1000];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(command, 1, sizeof command - 1, file) : 0;
    if (file) fclose(file);
    command[n] = 0;
    for (size_t i = 0; i + 1 < n; i++) if (!command[i]) command[i] = ' ';
    return strstr(command, "openclaw") && !strstr(command, "worker.js") && !strstr(command, "openclaw-tui");
}

/* Newcomers that carry the marker of a generated unit clear the port of other gateways, if lsof is there. */
static void kill_stale_gateways(void)
{
    const char *marker = getenv("OPENCLAW_SERVICE_MARKER"), *version = getenv("OPENCLAW_SERVICE_VERSION");
    long found[16], gateways[16];
    char list[200] = "";
    int n, stale = 0;
    if (!marker || !*marker || (version && !strcmp(version, "2026.3.1"))) return; /* from 3.8 on */
    if (access("/usr/bin/lsof", X_OK) && access("/usr/sbin/lsof", X_OK)) {
        say(stderr, "[restart] lsof failed during initial stale-pid scan for port %d: ENOENT", port);
        return;
    }
    n = listeners("/proc/net/tcp", found, 16);
    for (int i = 0; i < n; i++) {
        if (found[i] == getpid() || found[i] == getppid() || !is_gateway(found[i])) continue;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%ld", stale ? ", " : "", found[i]);
        gateways[stale++] = found[i];
    }
    if (!stale) return;
    say(stderr, "[restart] killing %d stale gateway process(es) before restart: %s", stale, list);
    for (int i = 0; i < stale; i++) kill((pid_t)gateways[i], SIGTERM);
    sleep_ms(600);
    for (int i = 0; i < stale; i++) kill((pid_t)gateways[i], SIGKILL);
    sleep_ms(400);
    say(stderr, "[gateway] service-mode: cleared %d stale gateway pid(s) before bind on port %d", stale, port);
}

static _Noreturn void crash(void)
{
    const char *with = getenv("STANDIN_CRASH_WITH");
    struct sigaction normal = {.sa_handler = SIG_DFL};
    if (!with || !*with) {
        fprintf(stderr, "[openclaw] OpenClaw hit an unexpected runtime error.\n[openclaw] Reason: planted failure\n");
        exit(1);
    }
    if (!strcmp(with, "oom"))
        for (size_t all = 0; all < (size_t)256 << 20; all += 1 << 20) {
            char *block = malloc(1 << 20);
            if (block) memset(block, 1, 1 << 20);
            sleep_ms(2);
        }
    if (!strcmp(with, "ABRT"))
        fprintf(stderr, "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n");
    if (!strcmp(with, "ABRT") || !strcmp(with, "SEGV")) {
        int number = *with == 'A' ? SIGABRT : SIGSEGV;
        sigaction(number, &normal, NULL);
        raise(number);
    }
    _exit(atoi(with));
}

/* What an agent's tool runs: a child of the gateway, in its cgroup, that outlives nothing by itself. */
static void start_child(void)
{
    const char *command = getenv("STANDIN_CHILD");
    if (!command || !*command || fork()) return;
    signal(SIGCHLD, SIG_DFL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static void respawn_detached(void)
{
    char number[20];
    snprintf(number, sizeof number, "%d", port);
    say(stdout, "[reload] config change detected; evaluating reload (meta.lastTouchedAt)");
    say(stdout, "[reload] config change requires gateway restart (meta.lastTouchedAt)");
    say(stdout, "[gateway] signal SIGUSR1 received");
    say(stdout, "[gateway] received SIGUSR1; restarting");
    if (fork()) return;
    setsid();
    unsetenv("STANDIN_RESPAWN");
    unsetenv("INVOCATION_ID");
    unsetenv("OPENCLAW_SYSTEMD_UNIT");
    unsetenv("SYSTEMD_EXEC_PID");
    unsetenv("JOURNAL_STREAM");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setenv("STANDIN_RESPAWN", "", 1);
    for (int fd = 3; fd < 100; fd++) close(fd);
    sleep_ms(300);
    execl("/proc/self/exe", "openclaw", "gateway", "--force", "--port", number, (char *)NULL);
    _exit(127);
}

static void open_debug_port(void)
{
    long number = env_number("STANDIN_DEBUG_PORT", 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    int yes = 1, fd;
    if (!number) return;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 511)) return;
    fprintf(stderr, "Debugger listening on ws://127.0.0.1:%ld/5f2b9c1e-6d0a-4a57-8f0e-2a9f4a3c7d61\n"
            "For help, see: https://nodejs.org/en/docs/inspector\n", number);
}

/* `openclaw tui`: a client, called like a gateway, that holds a connection and never listens. */
static _Noreturn void be_client(void)
{
    static const char upgrade[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2xhd2ZsZWV0LWxhYi0xNg==\r\n\r\n";
    for (;; sleep_ms(1000)) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        char heard[4096];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (!connect(fd, (struct sockaddr *)&address, sizeof address) && send(fd, upgrade, sizeof upgrade - 1, MSG_NOSIGNAL) > 0)
            while (recv(fd, heard, sizeof heard, 0) > 0) { }
        close(fd);
    }
}

/* Called as `lsof`: what the real gateway asks of it, for hosts without one.
 * lsof -nP -iTCP:PORT -sTCP:LISTEN -FFIELDS */
static int be_lsof(int argc, char **argv)
{
    const char *fields = "pc";
    long found[16];
    int n;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-iTCP:", 6)) port = atoi(argv[i] + 6);
        if (!strncmp(argv[i], "-F", 2)) fields = argv[i] + 2;
    }
    n = listeners("/proc/net/tcp", found, 16);
    for (int i = 0; i < n; i++) {
        char path[60], *name;
        snprintf(path, sizeof path, "/proc/%ld/comm", found[i]);
        name = read_file(path);
        printf("p%ld\n", found[i]);
        if (strchr(fields, 'c')) printf("c%.9s\n", name ? (name[strcspn(name, "\n")] = 0, name) : "?");
        printf("f20\n");
        if (strchr(fields, 'n')) printf("n127.0.0.1:%d\n", port);
    }
    return n ? 0 : 1;
}
