/* Another gateway on this host: the lock file of the state directory, the port, and how the newcomer
 * refuses to start. Part of standin.c. */

static unsigned long long start_time_of(long pid)
{
    char path[60], *text, *after;
    unsigned long long ticks = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    text = read_file(path);
    after = text ? strrchr(text, ')') : NULL;
    if (after)
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks);
    return ticks;
}

static long lock_holder(void)
{
    char pid[40], ticks[40];
    char *text = read_file(lock_path);
    if (!text || json5_get(text, ".pid", pid, sizeof pid) < 1) return 0;
    if (json5_get(text, ".startTime", ticks, sizeof ticks) < 1) return 0;
    return strtoull(ticks, NULL, 10) == start_time_of(atol(pid)) ? atol(pid) : 0;
}

static void write_lock(void)
{
    char utc[60];
    struct timespec t;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &t);
    strftime(utc, sizeof utc, "%FT%T", gmtime_r(&t.tv_sec, &parts));
    unsigned long long ticks = start_time_of(getpid());
    FILE *lock = fopen(lock_path, "we");
    if (!lock) return;
    fprintf(lock, "{\"pid\":%d,\"createdAt\":\"%s.%03ldZ\",\"configPath\":\"%s\",\"startTime\":%llu}",
            (int)getpid(), utc, t.tv_nsec / 1000000, config_path, ticks);
    fchmod(fileno(lock), 0644);
    fclose(lock);
}

/* As 4.29–7.1 judge it: any answer below 500 on /healthz makes the other one a healthy gateway. */
static int other_is_healthy(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {1, 0};
    char answer[64] = "";
    int status = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address)
        && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && recv(fd, answer, sizeof answer - 1, 0) > 0)
        sscanf(answer, "HTTP/1.%*d %d", &status);
    close(fd);
    return status > 0 && status < 500;
}

static int port_is_taken(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), taken;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    taken = !connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return taken;
}

static int supervised(void)
{
    static const char *const names[] = {"OPENCLAW_SYSTEMD_UNIT", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return 1;
    }
    return 0;
}

static void name_process(long pid, const char *address)
{
    char path[60], user[60] = "?", command[1000], line[400];
    struct stat about;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(command, 1, sizeof command - 1, file) : 0;
    if (file) fclose(file);
    while (n && !command[n - 1]) n--;
    command[n] = 0;
    for (size_t i = 0; i < n; i++) if (!command[i]) command[i] = ' ';
    file = stat(path, &about) ? NULL : fopen("/etc/passwd", "re");
    while (file && fgets(line, sizeof line, file)) {
        char name[60];
        unsigned uid;
        if (sscanf(line, "%59[^:]:%*[^:]:%u:", name, &uid) == 2 && uid == about.st_uid) strcpy(user, name);
    }
    if (file) fclose(file);
    say(stderr, "- pid %ld %s: %s (%s:%d)", pid, user, command, address, port);
}

/* The owners of the listening socket in that table, as far as this user may see them. */
static int listeners(const char *table, long *found, int room)
{
    char socket_name[60] = "", *text = read_file(table), *rest = NULL;
    int n_found = 0;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu", &local, &state, &inode) == 3
            && (int)local == port && state == 0x0A)
            snprintf(socket_name, sizeof socket_name, "socket:[%lu]", inode);
    }
    DIR *processes = *socket_name ? opendir("/proc") : NULL;
    for (struct dirent *p; processes && n_found < room && (p = readdir(processes));) {
        char path[300], target[300];
        if (!isdigit((unsigned char)*p->d_name)) continue;
        snprintf(path, sizeof path, "/proc/%.20s/fd", p->d_name);
        DIR *files = opendir(path);
        for (struct dirent *f; files && (f = readdir(files));) {
            ssize_t n = readlinkat(dirfd(files), f->d_name, target, sizeof target - 1);
            if (n < 0) continue;
            target[n] = 0;
            if (strcmp(target, socket_name)) continue;
            found[n_found++] = atol(p->d_name);
            break;
        }
        if (files) closedir(files);
    }
    if (processes) closedir(processes);
    return n_found;
}

static int name_listeners(const char *table, const char *address)
{
    long found[16];
    int n = listeners(table, found, 16);
    for (int i = 0; i < n; i++) name_process(found[i], address);
    return n;
}

static _Noreturn void refuse(const char *cause)
{
    int status = 0;
    if (supervised()) {
        long left = env_number("STANDIN_HEALTH_WAIT_MS", 30000);
        int healthy = other_is_healthy();
        for (; !healthy && left > 0; left -= 5000) {
            sleep_ms(left < 5000 ? left : 5000);
            healthy = other_is_healthy();
        }
        status = EX_CONFIG;
        say(stderr, "Gateway failed to start: gateway already running under systemd; existing gateway %s | %s",
            healthy ? "is healthy, exiting with code 78 to prevent a systemd Restart=always loop"
                    : "did not become healthy after 30000ms", cause);
    } else say(stderr, "Gateway failed to start: %s", cause);
    fprintf(stderr, "If the gateway is supervised, stop it with: openclaw gateway stop\n");
    if (port_is_taken()) {
        say(stderr, "Port %d is already in use.", port);
        int named = name_listeners("/proc/net/tcp", "127.0.0.1") + name_listeners("/proc/net/tcp6", "[::1]");
        if (!named)
            say(stderr, "- Port is in use but process details are unavailable (install lsof or run as an admin user).");
    }
    char unit[400];
    snprintf(unit, sizeof unit, "%.280s/.config/systemd/user/openclaw-gateway.service", home);
    if (!access(unit, F_OK) || !access("/etc/systemd/system/openclaw-gateway.service", F_OK)) {
        say(stderr, "Gateway service appears enabled. Stop it first.");
        say(stderr, "Tip: openclaw gateway stop");
        say(stderr, "Or: systemctl --user stop openclaw-gateway.service");
    }
    exit(status);
}

static void take_state_lock(void)
{
    long holder = lock_holder();
    long left = env_number("STANDIN_LOCK_WAIT_MS", 5000);
    for (; holder && left > 0; left -= 100) {
        sleep_ms(100);
        holder = lock_holder();
    }
    if (holder) {
        char cause[100];
        snprintf(cause, sizeof cause, "gateway already running (pid %ld); lock timeout after 5000ms", holder);
        refuse(cause);
    }
    write_lock();
}
