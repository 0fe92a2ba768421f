"""The cost model: from bench_burst's ns a packet of each class to cores for a line. See perf/README.md.

Cores = frames a second that the line can carry, times ns a frame of the mixture, by what a core keeps when another works
beside it (measured with two). What a real port costs above bench_burst's stub is to be added: `port_ns`, what
`dpdk-testpmd` in io mode takes on that NIC, less the stub's."""
import dataclasses
import math

LINES = (10, 25, 100, 400)
LIST = "ipv4 1 M"
OVERHEAD_BYTES = 20  # preamble and gap; a frame's bytes are with its check sequence


@dataclasses.dataclass
class Mixture:
    name: str
    shares: dict  # of the frames from the internet, by class
    back: float  # frames from the servers for each of these
    frame_bytes: int


MIXTURES = [
    Mixture("transit: 90 % other, 10 % allowed SMTP", {"other": 0.9, "allowed": 0.1}, 1, 512),
    Mixture("the same, smallest frames", {"other": 0.9, "allowed": 0.1}, 1, 64),
    Mixture("allowed SMTP", {"allowed": 1}, 1, 512),
    Mixture("the same, smallest frames", {"allowed": 1}, 1, 64),
    Mixture("30 % listed SYNs, 70 % allowed, smallest frames", {"mixed": 1}, 0.7, 64),
    Mixture("flood of listed SYNs, each answered", {"syn": 1}, 0, 64),
    Mixture("flood of listed sources, each dropped", {"drop": 1}, 0, 64),
]


def costs(found):
    """ns of each class, and what is left of a core when two work: {} without bench_burst."""
    ns = {figure.case.removesuffix(f" {LIST}"): figure.value for figure in found
          if figure.bench == "bench_burst" and figure.unit == "ns" and figure.case.endswith(f" {LIST}")}
    kept = [figure.value / 2 for figure in found if figure.bench == "bench_burst"
            and figure.case == f"allowed {LIST}" and figure.contender == "two workers/one"]
    if not kept or not {"lan", *(name for mixture in MIXTURES for name in mixture.shares)} <= ns.keys():
        return {}, 1
    return ns, min(1, kept[0])


def frames_a_second(gigabits, frame_bytes):
    return gigabits * 1e9 / (8 * (frame_bytes + OVERHEAD_BYTES))


def rows(found, port_ns=0):
    """(name, bytes, ns a frame from the internet, M frames a second and core, cores for each of LINES)."""
    ns, kept = costs(found)
    if not ns:
        return []
    table = []
    for mixture in MIXTURES:
        cost = sum(share * (ns[name] + port_ns) for name, share in mixture.shares.items())
        cost += mixture.back * (ns["lan"] + port_ns)
        cores = [math.ceil(frames_a_second(line, mixture.frame_bytes) * cost / 1e9 / kept) for line in LINES]
        table.append((mixture.name, mixture.frame_bytes, cost, kept * 1e3 / cost, cores))
    return table
