/* The dialogue on any segment: the first bytes of the input say what surrounds it, the rest is its payload. The frame is
 * right but for that and goes through the whole pure path; the judge of the tests looks at the answer.
 *
 *   0  family, stage, STARTTLS, kind of URL, action     1  TCP flags
 *   2  cookie: of now, the last epoch, too old, or none   3  kind of offset     4-5  offset     6-7  window
 *   8  what is around it: tags, options, extension headers */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 9, PAYLOAD_BYTES_MAX = 60000 };

static void choose_rules(struct exchange *exchange, uint8_t choice)
{
    static const char *const urls[] = {"https://delist.example.net/?ip={address}", "https://{address}/{address}"};

    exchange->rules.stage = choice & 2 ? BL_STAGE_MAIL : BL_STAGE_RCPT;
    exchange->rules.starttls = choice & 4 ? BL_STARTTLS_REFUSE : BL_STARTTLS_HIDE;
    (void)snprintf(exchange->classes[EXCHANGE_CLASS].url, BL_CLASS_URL_MAX, "%s", urls[choice >> 3 & 1]);
    if ((choice & 0xf0) == 0xf0)
        exchange->classes[EXCHANGE_CLASS].action = BL_ACTION_RESET;
}

static void choose_cookie(const struct exchange *exchange, const uint8_t *head, struct frame_spec *spec)
{
    uint32_t offset = head[3] & 1 ? frame_load16(head + 4) : 0;
    uint64_t age_s = (head[2] & 3) * 1024u;

    spec->acknowledgement = exchange_isn(exchange, spec, exchange->now_s - age_s) + 1 + offset;
    if ((head[2] & 3) == 3)
        spec->acknowledgement = frame_load32(head + 2);
}

static void choose_surroundings(struct frame_spec *spec, uint8_t choice)
{
    spec->n_tags = choice & 3;
    for (unsigned i = 0; i < spec->n_tags; i++)
        spec->tags[i] = i == 0 ? 0x88a8 : 0x8100;
    spec->ip_options_bytes = choice & 4 ? 12 : 0;
    spec->n_extensions = choice & 8 ? 2 : 0;
    memset(spec->extensions, 60, 2);
    spec->tcp_options_bytes = choice & 16 ? 12 : 0;
    spec->padding_bytes = choice & 32 ? 6 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct exchange exchange;
    struct frame_spec spec;
    const char *wrong;

    if (size < HEAD_BYTES || size - HEAD_BYTES > PAYLOAD_BYTES_MAX)
        return 0;
    exchange_init(&exchange);
    choose_rules(&exchange, data[0]);
    spec = frame_spec_init(data[0] & 1 ? 6 : 4);
    spec.flags = data[1];
    spec.window = (uint16_t)frame_load16(data + 6);
    spec.payload = data + HEAD_BYTES;
    spec.payload_bytes = size - HEAD_BYTES;
    choose_cookie(&exchange, data, &spec);
    choose_surroundings(&spec, data[8]);
    wrong = exchange_run(&exchange, exchange.frame, frame_build(&spec, exchange.frame));
    if (wrong != NULL) {
        (void)fprintf(stderr, "fuzz_reject: %s (reason %s)\n", wrong, bl_verdict_reason_name(exchange.reason));
        abort();
    }
    return 0;
}
