/* SHA-1 (the WebSocket handshake) and SHA-256 (the name of the gateway's lock file). */
#include <stdint.h>
#include <string.h>

static uint32_t rotate_left(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha1_block(uint32_t *h, const uint32_t *words)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    memcpy(w, words, 64);
    for (int i = 16; i < 80; i++)
        w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) { f = (b & c) | (~b & d); k = 0x5a827999; }
        else if (i < 40) { f = b ^ c ^ d; k = 0x6ed9eba1; }
        else if (i < 60) { f = (b & c) | (b & d) | (c & d); k = 0x8f1bbcdc; }
        else { f = b ^ c ^ d; k = 0xca62c1d6; }
        uint32_t t = rotate_left(a, 5) + f + e + k + w[i];
        e = d; d = c; c = rotate_left(b, 30); b = a; a = t;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
}

static void sha256_block(uint32_t *h, const uint32_t *words)
{
    static uint32_t k[64];
    if (!k[0]) { /* the fractions of the cube roots of the first 64 primes */
        int n = 0;
        for (int p = 2; n < 64; p++) {
            int prime = 1;
            for (int q = 2; q * q <= p; q++)
                if (p % q == 0) prime = 0;
            if (!prime) continue;
            /* integer cube root of p * 2^96, by bisection; its low 32 bits are the fraction */
            unsigned __int128 low = 0, high = (unsigned __int128)8 << 32, goal = (unsigned __int128)p << 96;
            while (high - low > 1) {
                unsigned __int128 middle = (low + high) / 2;
                if (middle * middle * middle <= goal) low = middle; else high = middle;
            }
            k[n++] = (uint32_t)low;
        }
    }
    uint32_t w[64], s[8];
    memcpy(w, words, 64);
    memcpy(s, h, sizeof s);
    for (int i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3)
             + (rotate_right(y, 17) ^ rotate_right(y, 19) ^ y >> 10);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25))
                    + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t t2 = (rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22))
                    + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

/* Both hashes pad alike: 0x80, zeros, the length in bits. */
static void digest(const char *text, uint32_t *h, void (*block)(uint32_t *, const uint32_t *))
{
    size_t length = strlen(text), total = (length + 8) / 64 * 64 + 64;
    for (size_t at = 0; at < total; at += 64) {
        uint32_t w[16];
        for (int i = 0; i < 64; i++) {
            size_t p = at + (size_t)i;
            uint32_t byte = p < length ? (unsigned char)text[p] : p == length ? 0x80
                          : p >= total - 8 ? (uint32_t)((uint64_t)length * 8 >> (total - 1 - p) * 8 & 0xff) : 0;
            w[i / 4] = (i % 4 ? w[i / 4] : 0) | byte << (24 - i % 4 * 8);
        }
        block(h, w);
    }
}

static void sha1(const char *text, unsigned char *out)
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    digest(text, h, sha1_block);
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

static uint32_t sha256_first_word(const char *text)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    digest(text, h, sha256_block);
    return h[0];
}
