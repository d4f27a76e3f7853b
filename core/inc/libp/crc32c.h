#pragma once

// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), the checksum of iSCSI (RFC 3720 appendix
// B.4, whose test vectors the tests use) and of every stripe/1 frame.
//
// `crc32c` picks, once, the fastest way this CPU has: for long runs x86's carry-less multiplication
// of vectors (four of them, each folded into what comes 128 bytes behind it; after Gopal et al.,
// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009); SSE4.2's
// or ARMv8's crc instruction run as three interleaved streams (the instruction has a latency of
// three cycles and a throughput of one; after Gopal et al., "Fast CRC Computation for iSCSI
// Polynomial Using CRC32 Instruction", Intel 2011); or a table-driven loop (slicing-by-8, Kounavis
// and Berry 2005). All give the same value.

#include <libp/types.h>

#include <cstdint>

namespace libp {

// The CRC of `before` followed by `data`, where `sum` is the CRC of `before` (0 for none). So a run
// of slices is summed by feeding each its predecessor's result.
std::uint32_t crc32c(std::uint32_t sum, bytes data) noexcept;

// The table-driven version: always there, and what the fast one is tested against.
std::uint32_t crc32c_portable(std::uint32_t sum, bytes data) noexcept;

// True when crc32c() uses a CPU instruction.
bool crc32c_is_accelerated() noexcept;

}  // namespace libp
