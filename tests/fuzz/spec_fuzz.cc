// The parsers of what a user types: any text is understood or refused with a place in it; what was
// understood is written back as text that means the same.

#include <libp/assert.h>
#include <libp/endpoint.h>
#include <libp/stack.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace libp;
    const std::string_view text = text_of({data, size});

    const auto parsed = parse_stack(text);
    if (const auto* fault = std::get_if<spec_error>(&parsed)) {
        check(!fault->message.empty(), "an error without a message");
        check(fault->column <= text.size(), "an error beyond the end");
        check(!fault->to_string(text).empty(), "an error without a picture");
    } else {
        const std::string once = std::get<stack_spec>(parsed).to_string();
        const auto again = parse_stack(once);
        check(std::holds_alternative<stack_spec>(again), "a spec does not read its own text");
        check(std::get<stack_spec>(again).to_string() == once,
              "a spec changes when it is read again");
    }

    if (const auto where = endpoint::parse(text, "80")) {
        const auto again = endpoint::parse(where->to_string(), "80");
        check(bool(again) && again->to_string() == where->to_string(),
              "an endpoint changes when it is read again");
    }
    // (A path with control characters is written with '?' in their place: to_string is for people.)
    const auto address = socket_address::parse(text);
    if (address && (address->is_ip() || address->to_string() == text)) {
        const auto again = socket_address::parse(address->to_string());
        check(bool(again) && *again == *address, "an address changes when it is read again");
    }
    return 0;
}
