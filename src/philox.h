/* Philox4x32-10 (Salmon et al. 2011): from a key and the number of a block four words of 32 random bits, so that
 * anyone can say what belongs to an element without having drawn what came before it.  Block b of stream s has the counter
 * (b's low 32 bits, high 32 bits, s, 0); the key is the seed's low and high 32 bits.  fused.inc has the same in vectors. */
#ifndef LEAKY_PHILOX_H
#define LEAKY_PHILOX_H

#include <stdint.h>

enum { PHILOX_ROUNDS = 10, PHILOX_WORDS = 4 };
#define PHILOX_M0 0xd2511f53u
#define PHILOX_M1 0xcd9e8d57u
#define PHILOX_KEY0 0x9e3779b9u /* added to the key after each round */
#define PHILOX_KEY1 0xbb67ae85u

static inline void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_KEY0;
        k1 += PHILOX_KEY1;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

#endif
