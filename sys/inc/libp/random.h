#pragma once

// Randomness nobody can guess: nonces, identities. Simulations use their own seeded generators.

#include <libp/types.h>

namespace libp {

// Fills `out` from the system's generator (getrandom(2), /dev/urandom). If there is none, that is a
// bug of the installation: the program aborts rather than run with predictable nonces. A program
// that may run out of descriptors calls it once early: where the generator is a device, it stays
// open.
void fill_random(mutable_bytes out) noexcept;

}  // namespace libp
