// Every pipe of the io layer keeps the contract of io_pipe.h.

#include "support/pipe_conformance.h"

namespace libp {
namespace {

const memory_pair_options tiny{.capacity = 100, .max_chunk = 1};
const memory_pair_options datagrams{.kind = io_kind::datagram, .max_datagram = 20 * kib};
const dgm_options small_dgm{.max_datagram = 10 * kib};
const faults pieces{.seed = 7, .max_chunk = 3000, .again_one_in = 20};

const bool registered = register_pipe_conformance({
    memory_pairs(),
    memory_pairs("memory_tiny", tiny),
    memory_pairs("memory_datagram", datagrams),
    unix_pairs(),
    tcp_pairs(),
    fd_pairs(),
    over_faulty(memory_pairs(), pieces),
    over_dgm(over_checked(memory_pairs())),
    over_dgm(over_checked(memory_pairs("memory_tiny", tiny)), {.max_datagram = 2000}),
    over_dgm(unix_pairs()),
    over_dgm(over_checked(tcp_pairs())),
    over_dgm(fd_pairs(), small_dgm),
    over_dgm(over_checked(over_faulty(tcp_pairs(), pieces)), small_dgm),
});

}  // namespace
}  // namespace libp
