/* See loadgen_client.h. */
#include "perf/loadgen_client.h"

#include <string.h>

#include "bounceline/address.h"

enum { OFFSET_BITS = 8, WINDOW_BYTES = 64240 };

#define EHLO "EHLO load.example.net\r\n"
#define MAIL "MAIL FROM:<a@load.example.net>\r\n"
#define RCPT "RCPT TO:<b@mx.example.org>\r\n"
#define QUIT "QUIT\r\n"

/* What is acknowledged when a step is heard, and what is said then. */
static const struct {
    uint8_t offset;
    uint8_t line_bytes;
    const char *line;
} steps[LOADGEN_N_STEPS] = {
    [LOADGEN_STEP_SYN_ACK] = {0, 0, ""}, /* the bare acknowledgement */
    [LOADGEN_STEP_GREETING] = {0, sizeof(EHLO) - 1, EHLO},
    [LOADGEN_STEP_EHLO] = {sizeof(EHLO) - 1, sizeof(MAIL) - 1, MAIL},
    [LOADGEN_STEP_MAIL] = {sizeof(EHLO MAIL) - 1, sizeof(RCPT) - 1, RCPT},
    [LOADGEN_STEP_RCPT] = {sizeof(EHLO MAIL RCPT) - 1, sizeof(QUIT) - 1, QUIT},
    [LOADGEN_STEP_BYE] = {sizeof(EHLO MAIL RCPT QUIT) - 1, 0, ""}, /* an acknowledgement, and our FIN */
    [LOADGEN_STEP_LAST] = {sizeof(EHLO MAIL RCPT QUIT), 0, NULL},  /* the FIN too */
};

_Static_assert(sizeof(EHLO MAIL RCPT QUIT) < 1 << OFFSET_BITS, "an acknowledgement names its dialogue");

static const char *const step_texts[] = {
#define X(name, text) text,
    LOADGEN_STEPS(X)
#undef X
};

const char *loadgen_client_step_text(enum loadgen_step step)
{
    return step_texts[step];
}

uint64_t loadgen_client_hash(const struct bl_siphash_key *key, const struct loadgen_ends *ends)
{
    uint32_t ports = (uint32_t)ends->client_port << 16 | ends->server_port;
    uint8_t record[36];
    size_t n = ends->family == BL_FAMILY_IPV4 ? 4 : 16;

    memcpy(record, &ports, sizeof(ports));
    memcpy(record + 4, ends->client, n);
    memcpy(record + 4 + n, ends->server, n);
    return bl_siphash(key, record, 4 + 2 * n);
}

uint32_t loadgen_client_isn(uint64_t hash, uint64_t index)
{
    return (uint32_t)((index + hash) << OFFSET_BITS);
}

bool loadgen_client_find(uint64_t hash, uint32_t number, uint64_t n_begun, uint64_t *index, uint32_t *offset)
{
    uint64_t low = ((number >> OFFSET_BITS) - hash) & (LOADGEN_WINDOW - 1);
    uint64_t back = (n_begun - 1 - low) & (LOADGEN_WINDOW - 1);

    *offset = number & ((1U << OFFSET_BITS) - 1);
    *index = n_begun - 1 - back;
    return back < n_begun;
}

enum loadgen_step loadgen_client_step(bool syn, uint32_t offset)
{
    unsigned step = LOADGEN_STEP_GREETING;

    if (syn)
        return offset == 0 ? LOADGEN_STEP_SYN_ACK : LOADGEN_N_STEPS;
    while (step < LOADGEN_N_STEPS && steps[step].offset != offset)
        step++;
    return (enum loadgen_step)step;
}

void loadgen_client_syn(uint32_t isn, struct loadgen_segment *segment)
{
    *segment = (struct loadgen_segment){.flags = LOADGEN_SYN, .mss = true, .window = WINDOW_BYTES, .sequence = isn};
}

unsigned loadgen_client_next(enum loadgen_step step, const struct loadgen_heard *heard,
                             struct loadgen_segment segments[2])
{
    uint32_t fin_or_syn = (heard->flags & (LOADGEN_SYN | LOADGEN_FIN)) != 0 ? 1 : 0;

    if (step == LOADGEN_STEP_LAST)
        return 0;
    segments[0] = (struct loadgen_segment){
        .flags = LOADGEN_ACK,
        .window = WINDOW_BYTES,
        .sequence = heard->acknowledgement,
        .acknowledgement = heard->sequence + heard->payload_bytes + fin_or_syn,
        .payload = steps[step].line,
        .payload_bytes = steps[step].line_bytes,
    };
    if (steps[step].line_bytes != 0)
        segments[0].flags |= LOADGEN_PSH;
    if (step != LOADGEN_STEP_BYE)
        return 1;
    segments[1] = segments[0];
    segments[1].flags |= LOADGEN_FIN;
    return 2;
}
