/* Just enough JSON5 to find one value by its path: comments, bare keys, trailing commas, both quotes. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct json5 { const char *at; const char *path; char *value; size_t size; int found; };

static void json5_space(struct json5 *j)
{
    for (;;) {
        while (isspace((unsigned char)*j->at)) j->at++;
        if (j->at[0] == '/' && j->at[1] == '/') { while (*j->at && *j->at != '\n') j->at++; }
        else if (j->at[0] == '/' && j->at[1] == '*') {
            const char *end = strstr(j->at + 2, "*/");
            j->at = end ? end + 2 : j->at + strlen(j->at);
        } else return;
    }
}

/* A string, a bare key or a number, into `out`. */
static int json5_word(struct json5 *j, char *out, size_t size)
{
    size_t n = 0;
    if (*j->at == '"' || *j->at == '\'') {
        char quote = *j->at++;
        while (*j->at && *j->at != quote) {
            if (*j->at == '\\' && j->at[1]) j->at++;
            if (n + 1 < size) out[n++] = *j->at;
            j->at++;
        }
        if (!*j->at) return 0;
        j->at++;
        out[n] = 0;
        return 1;
    }
    while (isalnum((unsigned char)*j->at) || (*j->at && strchr("_$.+-", *j->at))) {
        if (n + 1 < size) out[n++] = *j->at;
        j->at++;
    }
    out[n] = 0;
    return n > 0;
}

/* `path` is this value's place, as in .gateway.mode; array elements count as .0, .1 … */
static int json5_value(struct json5 *j, const char *path)
{
    json5_space(j);
    if (*j->at == '{' || *j->at == '[') {
        char close = *j->at == '{' ? '}' : ']';
        j->at++;
        for (int index = 0;; index++) {
            char key[200], below[600];
            json5_space(j);
            if (*j->at == close) { j->at++; return 1; }
            if (close == '}') {
                if (!json5_word(j, key, sizeof key)) return 0;
                json5_space(j);
                if (*j->at++ != ':') return 0;
            } else snprintf(key, sizeof key, "%d", index);
            snprintf(below, sizeof below, "%.390s.%s", path, key);
            if (!json5_value(j, below)) return 0;
            json5_space(j);
            if (*j->at == ',') j->at++;
            else if (*j->at != close) return 0;
        }
    }
    char word[400];
    int quoted = *j->at == '"' || *j->at == '\'';
    if (!json5_word(j, word, sizeof word)) return 0;
    if (!quoted && !isdigit((unsigned char)word[0]) && !strchr("+-.IN", word[0]) &&
        strcmp(word, "true") && strcmp(word, "false") && strcmp(word, "null")) return 0;
    if (!strcmp(path, j->path)) { snprintf(j->value, j->size, "%s", word); j->found = 1; }
    return 1;
}

/* 1: found, 0: not there, -1: the text is not JSON5. */
static int json5_get(const char *text, const char *path, char *value, size_t size)
{
    struct json5 j = {text, path, value, size, 0};
    *value = 0;
    if (!json5_value(&j, "")) return -1;
    json5_space(&j);
    return *j.at ? -1 : j.found;
}
