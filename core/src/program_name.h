#pragma once

namespace libp {

// The running program's name without its folder, for messages that cannot wait for main to say it.
const char* program_name() noexcept;

}  // namespace libp
