#pragma once

// What libFuzzer, and replay.cc in its place, calls with every input. Always returns 0.

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
