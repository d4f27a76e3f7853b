#pragma once

// Which libp this is. The number lives in the Makefile and is compiled into the library, so that a
// program prints the version of what it was linked with.

namespace libp {

const char* version() noexcept;  // "0.1.0"

}  // namespace libp
