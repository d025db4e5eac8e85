/* Something that is not a gateway on the gateway's port: a web server that knows no page,
 * or with `silent` a listener that never says a word.   foreign-httpd PORT [silent] */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const char answer[] = "HTTP/1.0 404 Not Found\r\nServer: foreign-httpd\r\nContent-Type: text/plain\r\n"
                                 "Content-Length: 10\r\nConnection: close\r\n\r\nnot found\n";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "18789"))};
    int yes = 1, silent = argc > 2 && !strcmp(argv[2], "silent");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) {
        perror("foreign-httpd");
        return 1;
    }
    for (;;) {
        char request[2000];
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) continue;
        if (silent) continue; /* the connection stays open, unanswered */
        struct timeval limit = {2, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (recv(fd, request, sizeof request, 0) > 0 && write(fd, answer, sizeof answer - 1) < 0) perror("foreign-httpd");
        close(fd);
    }
}
