/* The gateway's answers: health documents, the Control page for every other path, the WebSocket greeting. */
#include <sys/socket.h>

struct client { int fd; size_t n; int websocket; int64_t due; char in[8192]; };
static struct client clients[CLIENTS];

static const char control_page[] =
    "<!doctype html>\n<html lang=\"en\">\n  <head>\n    <meta charset=\"UTF-8\" />\n"
    "    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1.0, viewport-fit=cover\" />\n"
    "    <title>OpenClaw Control</title>\n  </head>\n  <body>\n    <openclaw-app></openclaw-app>\n  </body>\n</html>\n";

static void send_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        struct pollfd writable = {fd, POLLOUT, 0};
        if (sent < 0 && (errno != EAGAIN || poll(&writable, 1, 1000) < 1)) return;
        if (sent > 0) { data += sent; size -= (size_t)sent; }
    }
}

static void answer(int fd, int status, const char *reason, const char *type, const char *cache,
                   const char *extra, const char *body, int head_only, int keep)
{
    char head[1200], date[60];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %T GMT", gmtime_r(&now, &utc));
    int n = snprintf(head, sizeof head,
        "HTTP/1.1 %d %s\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
        "Permissions-Policy: camera=(), microphone=(self), geolocation=()\r\n%s"
        "Content-Type: %s\r\n%sDate: %s\r\nConnection: %s\r\n%sContent-Length: %zu\r\n\r\n",
        status, reason, extra, type, cache, date, keep ? "keep-alive" : "close",
        keep ? "Keep-Alive: timeout=5\r\n" : "", strlen(body));
    send_all(fd, head, (size_t)n);
    if (!head_only) send_all(fd, body, strlen(body));
}

static void base64(const unsigned char *in, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)in[i] << 16 | (i + 1 < n ? (unsigned)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *out = 0;
}

static const char *header(const char *request, const char *name, char *value, size_t size)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s:", name);
    const char *at = strcasestr(request, wanted);
    if (!at) return NULL;
    at += strlen(wanted);
    while (*at == ' ') at++;
    snprintf(value, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    return value;
}

/* /v1/models is JSON only where the configuration opens it; `auth` is the value of the header. */
static int models_open;
static char models_token[200];

static void answer_models(int fd, const char *auth, int head_only, int keep)
{
    static const char json[] = "application/json; charset=utf-8";
    if (!auth || strncasecmp(auth, "Bearer ", 7) || strcmp(auth + 7, models_token))
        answer(fd, 401, "Unauthorized", json, "", "", "{\"error\":{\"message\":\"Unauthorized\",\"type\":\"unauthorized\"}}",
               head_only, keep);
    else
        answer(fd, 200, "OK", json, "", "", "{\"object\":\"list\",\"data\":["
               "{\"id\":\"openclaw\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openclaw\"},"
               "{\"id\":\"openclaw/default\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openclaw\"},"
               "{\"id\":\"openclaw/main\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openclaw\"}]}", head_only, keep);
}

static void greet_websocket(struct client *c, const char *key)
{
    char joined[200], accept[40], reply[300], payload[300];
    unsigned char hash[20], r[16], frame[400];
    snprintf(joined, sizeof joined, "%.100s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(joined, hash);
    base64(hash, 20, accept);
    int n = snprintf(reply, sizeof reply, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    send_all(c->fd, reply, (size_t)n);
    if (getrandom(r, sizeof r, 0) < 0) memset(r, 7, sizeof r);
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    n = snprintf(payload, sizeof payload, "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\""
        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\",\"ts\":%lld}}",
        r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15],
        (long long)now_ms(CLOCK_REALTIME));
    size_t at = 0;
    frame[at++] = 0x81;
    if (n < 126) frame[at++] = (unsigned char)n;
    else { frame[at++] = 126; frame[at++] = (unsigned char)(n >> 8); frame[at++] = (unsigned char)n; }
    memcpy(frame + at, payload, (size_t)n);
    send_all(c->fd, (char *)frame, at + (size_t)n);
    c->websocket = 1;
}

static void drop(struct client *c)
{
    close(c->fd);
    memset(c, 0, sizeof *c);
    c->fd = -1;
}

static void respond(struct client *c)
{
    char method[16] = "", path[1024] = "", value[200], ready[500];
    int minor = 1, keep, head;
    static const char no_store[] = "Cache-Control: no-store\r\n";
    if (sscanf(c->in, "%15s %1023s HTTP/1.%d", method, path, &minor) != 3) {
        static const char bad[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
        send_all(c->fd, bad, sizeof bad - 1);
        drop(c);
        return;
    }
    path[strcspn(path, "?")] = 0;
    const char *fault = getenv("STANDIN_FAULT");
    if (fault && !strcmp(fault, "silent")) { c->n = 0; return; }
    if (fault && !strcmp(fault, "slow") && !c->due) { c->due = now_ms(CLOCK_MONOTONIC) + 20000; return; }
    c->due = 0;
    keep = minor == 1;
    if (fault && !strcmp(fault, "500")) {
        answer(c->fd, 500, "Internal Server Error", "text/plain; charset=utf-8", "", "", "Internal Server Error", 0, 0);
        drop(c);
        return;
    }
    if (header(c->in, "Connection", value, sizeof value) && strcasestr(value, "close")) keep = 0;
    if (header(c->in, "Upgrade", value, sizeof value) && !strcasecmp(value, "websocket")
        && header(c->in, "Sec-WebSocket-Key", value, sizeof value)) {
        greet_websocket(c, value);
        return;
    }
    head = !strcmp(method, "HEAD");
    int health = !strcmp(path, "/health") || !strcmp(path, "/healthz");
    int readiness = !strcmp(path, "/ready") || !strcmp(path, "/readyz");
    if ((health || readiness) && strcmp(method, "GET") && !head)
        answer(c->fd, 405, "Method Not Allowed", "text/plain; charset=utf-8", "", "Allow: GET, HEAD\r\n", "Method Not Allowed", 0, keep);
    else if (health)
        answer(c->fd, 200, "OK", "application/json; charset=utf-8", no_store, "", "{\"ok\":true,\"status\":\"live\"}", head, keep);
    else if (readiness) {
        long long up = now_ms(CLOCK_MONOTONIC) - started_ms;
        char loop[200] = ""; /* not before the first second is measured */
        if (up >= 1000)
            snprintf(loop, sizeof loop, ",\"eventLoop\":{\"degraded\":false,\"reasons\":[],\"intervalMs\":%lld,"
                     "\"delayP99Ms\":25.1,\"delayMaxMs\":62.9,\"utilization\":0.06,\"cpuCoreRatio\":0.2}", up);
        snprintf(ready, sizeof ready, "{\"ready\":true,\"failing\":[],\"uptimeMs\":%lld%s}", up, loop);
        answer(c->fd, 200, "OK", "application/json; charset=utf-8", no_store, "", ready, head, keep);
    } else if (models_open && !strcmp(path, "/v1/models"))
        answer_models(c->fd, header(c->in, "Authorization", value, sizeof value), head, keep);
    else if (!strncmp(path, "/api/", 5) || (strcmp(method, "GET") && !head))
        answer(c->fd, 404, "Not Found", "text/plain; charset=utf-8", "", "", "Not Found", 0, keep);
    else
        answer(c->fd, 200, "OK", "text/html; charset=utf-8", "Cache-Control: no-cache\r\n", "X-Frame-Options: DENY\r\n",
               control_page, head, keep);
    if (!keep) drop(c);
    else c->n = 0;
}

static void read_client(struct client *c)
{
    ssize_t got = recv(c->fd, c->in + c->n, sizeof c->in - 1 - c->n, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) { drop(c); return; }
    if (got < 0) return;
    if (c->websocket) { /* a close frame, or a client that talks without the challenge's answer */
        if ((c->in[0] & 0x0f) == 8) drop(c);
        return;
    }
    c->n += (size_t)got;
    c->in[c->n] = 0;
    if (strstr(c->in, "\r\n\r\n")) respond(c);
    else if (c->n >= sizeof c->in - 1) drop(c);
}

static int watcher;
static void config_changed(void);

static void serve(const int *listeners, int hang, const struct timespec *limit, const sigset_t *mask)
{
    static int ready_for_use;
    struct pollfd waiting[3 + CLIENTS];
    struct timespec second = {1, 0};
    if (!ready_for_use) { for (int i = 0; i < CLIENTS; i++) clients[i].fd = -1; ready_for_use = 1; }
    for (int i = 0; i < 2; i++) waiting[i] = (struct pollfd){listeners[i], POLLIN, 0};
    for (int i = 0; i < CLIENTS; i++) {
        waiting[2 + i] = (struct pollfd){clients[i].fd, POLLIN, 0};
        if (clients[i].fd >= 0 && clients[i].due) limit = &second;
    }
    waiting[2 + CLIENTS] = (struct pollfd){watcher, POLLIN, 0};
    int ready = ppoll(waiting, hang ? 0 : 3 + CLIENTS, limit, mask);
    for (int i = 0; i < CLIENTS; i++)
        if (clients[i].fd >= 0 && clients[i].due && clients[i].due <= now_ms(CLOCK_MONOTONIC)) respond(&clients[i]);
    if (ready < 1) return;
    if (waiting[2 + CLIENTS].revents) config_changed();
    for (int i = 0; i < CLIENTS; i++)
        if (waiting[2 + i].revents && clients[i].fd == waiting[2 + i].fd) read_client(&clients[i]);
    for (int i = 0; i < 2; i++) {
        if (!waiting[i].revents) continue;
        int fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), slot = 0;
        while (slot < CLIENTS && clients[slot].fd >= 0) slot++;
        if (fd < 0) continue;
        if (slot == CLIENTS) { close(fd); continue; }
        memset(&clients[slot], 0, sizeof clients[slot]);
        clients[slot].fd = fd;
    }
}
