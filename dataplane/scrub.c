/* Votes on regions; see scrub.h. */
#include "dataplane/scrub.h"

#include <string.h>

#include "bounceline/siphash.h"

/* Replicas that have @p sum there. */
static unsigned count_votes(const struct bl_replica_sums *const *replicas, unsigned n_replicas, size_t region,
                            uint64_t sum)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_replicas; i++)
        n += region < replicas[i]->n && replicas[i]->sums[region] == sum;
    return n;
}

static void note(struct bl_scrub_findings *out, unsigned replica, size_t region)
{
    if (out->n < BL_SCRUB_FINDINGS_MAX)
        out->at[out->n++] = (struct bl_scrub_finding){replica, region};
}

void bl_scrub_judge(const struct bl_replica_sums *master, const struct bl_replica_sums *const *replicas,
                    unsigned n_replicas, struct bl_scrub_findings *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t region = 0; region < master->n; region++) {
        unsigned n_same = count_votes(replicas, n_replicas, region, master->sums[region]);

        for (unsigned i = 0; i < n_replicas && n_same < n_replicas; i++) {
            if (region >= replicas[i]->n || replicas[i]->sums[region] == master->sums[region])
                continue;
            note(out, i, region);
            if (count_votes(replicas, n_replicas, region, replicas[i]->sums[region]) >= n_same + 1)
                out->master_doubted = true;
        }
    }
}

uint64_t bl_scrub_total(const struct bl_replica_sums *sums)
{
    static const struct bl_siphash_key key;

    return bl_siphash(&key, sums->sums, sums->n * sizeof(sums->sums[0]));
}
