// Targets that peers ask for, and rules that say which they get. The input is a rule, a line feed,
// and a target. Any text is understood or refused; a target that was understood is written back as
// one that means the same, and leads nowhere that it should not.

#include <libp/assert.h>
#include <libp/target_rules.h>
#include <libp/types.h>

#include <algorithm>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace libp;
    const std::string_view text = text_of({data, size});
    const std::size_t cut = std::min(text.find('\n'), text.size());
    const std::string_view rule = text.substr(0, cut);
    const std::string_view wanted = text.substr(std::min(cut + 1, text.size()));

    target_rules rules;
    const bool understood = rules.add(rule).empty();
    check(understood != rules.empty(),
          "a rule was understood and not added, or added and not understood");
    check(!understood || rules.to_string() == rule, "a rule is not shown as it was given");

    const auto target = target_name::parse(wanted);
    if (!target) return 0;
    check(target->port != 0 && !target->host.empty(), "a target without a host or a port");
    const auto again = target_name::parse(target->to_string());
    check(again && again->host == target->host && again->port == target->port,
          "a target changes when it is read again");
    for (const char c : target->host)
        check(c > ' ' && c < 0x7f && c != '/' && c != '@' && c != '%', "a host that is none");

    const target_rules none;
    if (const auto at = socket_address::from_ip(target->host, target->port)) {
        rules.allow(target->host, *at);
        check(!at->is_loopback() || !none.allow(target->host, *at), "loopback is public");
        // A name rule says nothing of this host, whoever the target says it is.
        if (understood && rule.front() == '.')
            check(!at->is_loopback() || !rules.allow(target->host, *at), "a name led home");
    }
    return 0;
}
