/* XDP programs that drop what is listed, as peer_filters loads them: the fewest instructions that ask a map for an
 * IPv4 source. What passes is counted; what is dropped costs nothing more. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct trie_key {
    __u32 length;
    __u32 address;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1); /* peer_filters sets it */
    __type(key, __u32);
    __type(value, __u32);
} hosts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct trie_key);
    __type(value, __u32);
} prefixes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} passed SEC(".maps");

static __always_inline const struct iphdr *parse(const struct xdp_md *frame)
{
    const struct ethhdr *ethernet = (const void *)(long)frame->data;
    const struct iphdr *ip = (const void *)(ethernet + 1);

    if ((const void *)(ip + 1) > (const void *)(long)frame->data_end || ethernet->h_proto != bpf_htons(ETH_P_IP))
        return NULL;
    return ip;
}

static __always_inline int pass(__u32 which)
{
    __u64 *count = bpf_map_lookup_elem(&passed, &which);

    if (count != NULL)
        (*count)++;
    return XDP_PASS;
}

SEC("xdp")
int drop_all(struct xdp_md *frame)
{
    return parse(frame) != NULL ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int drop_hosts(struct xdp_md *frame)
{
    const struct iphdr *ip = parse(frame);
    __u32 address = ip != NULL ? ip->saddr : 0;

    return bpf_map_lookup_elem(&hosts, &address) != NULL ? XDP_DROP : pass(0);
}

SEC("xdp")
int drop_prefixes(struct xdp_md *frame)
{
    const struct iphdr *ip = parse(frame);
    struct trie_key key = {32, ip != NULL ? ip->saddr : 0};

    return bpf_map_lookup_elem(&prefixes, &key) != NULL ? XDP_DROP : pass(1);
}

char _license[] SEC("license") = "GPL"; /* no helper asks for it; the kernel wants the section */
