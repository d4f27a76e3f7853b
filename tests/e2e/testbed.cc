#include <e2e/testbed.h>

#include <gtest/gtest.h>

#include <thread>

namespace libp::e2e {

namespace {

using arguments = std::vector<std::string>;

std::unique_ptr<child_process> start(arguments command, const relay_options& options) {
    command.insert(command.end(), options.args.begin(), options.args.end());
    return std::make_unique<child_process>(
        std::move(command), child_setup{.announces = true, .descriptors = options.descriptors});
}

const char* program_of(relay_kind kind) {
    return kind == relay_kind::striped ? "tcp-striper" : "tcp-proxy";
}

// The last lines: where a failure is told.
std::string tail(const std::string& text) {
    constexpr std::size_t most = 3000;
    return text.size() <= most ? text : "..." + text.substr(text.size() - most);
}

void run_scenario(const route& via, const relay_options& options,
                  const std::function<void(testbed&)>& scenario) {
    std::unique_ptr<testbed> bed;
    try {
        bed = std::make_unique<testbed>(via, options);
        scenario(*bed);
    } catch (const std::exception& why) {
        ADD_FAILURE() << via.name() << ": " << why.what() << (bed ? bed->logs() : "");
    }
}

}  // namespace

const char* name_of(relay_kind kind) noexcept {
    return kind == relay_kind::raw ? "raw" : kind == relay_kind::datagram ? "datagram" : "striped";
}

std::string route::name() const {
    return std::string(name_of(kind)) + " over " + name_of(over);
}

std::vector<route> every_kind(family over) {
    return {{relay_kind::raw, over}, {relay_kind::datagram, over}, {relay_kind::striped, over}};
}

std::vector<route> every_route() {
    std::vector<route> all;
    for (family f : {family::ipv4, family::ipv6, family::unix_path})
        for (const route& r : every_kind(f))
            if (available(f)) all.push_back(r);
    return all;
}

std::unique_ptr<child_process> start_far(relay_kind kind, const std::string& listen,
                                         const std::string& target, const relay_options& options) {
    const char* mode = kind == relay_kind::raw ? "-r" : "-s";
    return start({program_of(kind), mode, listen, target}, options);
}

std::unique_ptr<child_process> start_near(relay_kind kind, const std::string& listen,
                                          const std::string& far, const relay_options& options) {
    arguments command{program_of(kind), "-c", listen, far};
    if (kind == relay_kind::striped) command.insert(command.end(), {"-n", "4"});
    return start(std::move(command), options);
}

testbed::testbed(const route& via, const relay_options& options)
    : via_(via), server_(listen_at("target")) {
    if (via.kind == relay_kind::raw) {
        near_ = start_far(via.kind, listen_at("near"), server_.address(), options);
    } else {
        far_ = start_far(via.kind, listen_at("far"), server_.address(), options);
        near_ = start_near(via.kind, listen_at("near"), far_->address(), options);
    }
}

std::string testbed::listen_at(const char* name) const {
    if (via_.over == family::unix_path) return folder_.path(name);
    return via_.over == family::ipv6 ? "[::1]:0" : "127.0.0.1:0";
}

std::vector<child_process*> testbed::programs() {
    if (!far_) return {near_.get()};
    return {near_.get(), far_.get()};
}

testbed::connection testbed::connect_through() {
    peer client = connect();
    client.send("hello");
    peer server = server_.accept();
    expect(server.receive(5) == "hello", "the target got something else");
    server.send("welcome");
    expect(client.receive(7) == "welcome", "the client got something else");
    return {std::move(client), std::move(server)};
}

std::string testbed::logs() const {
    std::string all;
    for (const child_process* p : {near_.get(), far_.get()})
        if (p) all += "\n--- " + p->to_string() + "\n" + tail(p->log());
    return all;
}

void on_every_route(const std::vector<route>& routes, const relay_options& options,
                    const std::function<void(testbed&)>& scenario) {
    std::vector<std::thread> threads;
    for (const route& via : routes)
        threads.emplace_back([&] { run_scenario(via, options, scenario); });
    for (std::thread& t : threads)
        t.join();
}

}  // namespace libp::e2e
