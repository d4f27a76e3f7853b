// A TLS client and server with somebody between them who changes what they say, at any byte, in
// either direction, from the greeting to close_notify. What one end receives is always the
// beginning of what the other sent, a FIN comes behind all of it only, and nobody holds more than a
// few buffers.
//
// The input is a list of changes, four bytes each: which way and what to do (xor, drop, repeat,
// insert, cut, end), how far behind the last change that way (two bytes), and with what. Keys and
// nonces are new every time: an input finds the same place again, not the same bytes.

#include <libp/assert.h>
#include <libp/pipe_memory.h>
#include <libp/pipe_tls.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace libp;

constexpr std::size_t most_memory = 4 * mib;

struct parties {
    parties() {
        if (!library) return;
        std::string path = std::filesystem::temp_directory_path() / "libp-fuzz-XXXXXX";
        const int fd = mkstemp(path.data());  // for its owner only
        check(fd >= 0, "no temporary file");
        std::ofstream(path) << std::string(64, '3');
        tls_fault wrong;
        client = tls_credentials::make(library, {.shared_keys = path}, wrong);
        tls_options listening;
        listening.server = true;
        listening.shared_keys = path;
        server = tls_credentials::make(library, listening, wrong);
        std::filesystem::remove(path);
        check(client && server, "no credentials");
    }
    tls_library library;
    std::unique_ptr<tls_credentials> client, server;
};

struct change {
    std::size_t at = 0;
    unsigned what = 0;
    std::uint8_t with = 0;
};

// One way, and what is done to the bytes that go it.
class lane {
  public:
    void add(std::size_t behind, unsigned what, std::uint8_t with) {
        last_ += behind;
        changes_.push_back({last_, what, with});
    }
    void pass(block_pool& pool, io_pipe& from, io_pipe& to) {
        while (!over_ && held_.empty() && from.has(io_flag::readable)) {
            chain in;
            const io_result r = from.recv(in, 4096);
            if (r.status == io_status::again) break;
            if (!r.ok()) {
                over_ = true;
                r.status == io_status::fin ? to.send_fin() : to.reset();
                return;
            }
            alter(pool, in.to_string(), to);
        }
        if (!held_.empty() && to.has(io_flag::writable) && !to.has(io_flag::fin_wanted))
            to.send(held_);
    }

  private:
    void alter(block_pool& pool, const std::string& in, io_pipe& to) {
        std::string out;
        for (const char c : in) {
            bool keep = true;
            for (; next_ < changes_.size() && changes_[next_].at <= seen_ && !over_; ++next_) {
                const change& now = changes_[next_];
                const char with = static_cast<char>(now.with);
                if (now.what == 0) out += static_cast<char>(c ^ with), keep = false;
                if (now.what == 1) keep = false;
                if (now.what == 2) out.append(now.with, c);
                if (now.what == 3) out += with;
                if (now.what >= 4) {
                    over_ = true;
                    now.what == 4 ? to.reset() : to.send_fin();
                }
            }
            if (over_) return;
            if (keep) out += c;
            ++seen_;
        }
        held_.append_copy(pool, {reinterpret_cast<const std::uint8_t*>(out.data()), out.size()});
    }

    std::vector<change> changes_;
    std::size_t last_ = 0, seen_ = 0, next_ = 0;
    chain held_;
    bool over_ = false;
};

// Sends its text and a FIN, and checks what comes.
struct end {
    end(event_loop& l, io_pipe& p, char mine, char theirs)
        : loop(l), pipe(p), say(5000, mine), hear(5000, theirs) {}
    bool step() {
        bool moved = false;
        if (pipe.has(io_flag::writable) && said < say.size()) {
            chain c;
            c.append_copy(loop.blocks(), {reinterpret_cast<const std::uint8_t*>(say.data()) + said,
                                          std::min<std::size_t>(1000, say.size() - said)});
            const io_result r = pipe.send(c);
            said += r.bytes;
            moved = r.ok();
        }
        if (said == say.size()) pipe.send_fin();
        while (pipe.has(io_flag::readable)) {
            chain c;
            const io_result r = pipe.recv(c, 700);
            if (r.status == io_status::fin)
                check(heard == hear.size(), "a stream that was cut looked finished");
            if (!r.ok()) break;
            check(c.to_string() == hear.substr(heard, c.size()), "a byte that nobody sent");
            heard += c.size();
            moved = true;
        }
        return moved;
    }
    event_loop& loop;
    io_pipe& pipe;
    const std::string say, hear;
    std::size_t said = 0, heard = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const parties who;
    if (!who.client) return 0;
    event_loop loop;
    auto [low_a, mid_a] = make_memory_pair(loop);
    auto [mid_b, low_b] = make_memory_pair(loop);
    lane up, down;
    const bool untouched = size < 4;
    for (; size >= 4; data += 4, size -= 4)
        (data[0] & 1 ? up : down)
            .add(static_cast<std::size_t>(data[1] << 8 | data[2]), data[0] / 2 % 6, data[3]);

    auto a = make_tls_pipe(loop, std::move(low_a), *who.client);
    auto b = make_tls_pipe(loop, std::move(low_b), *who.server);
    end at_a(loop, *a, 'a', 'b'), at_b(loop, *b, 'b', 'a');
    for (int quiet = 0; quiet < 6; ++quiet) {
        up.pass(loop.blocks(), *mid_a, *mid_b);
        down.pass(loop.blocks(), *mid_b, *mid_a);
        loop.turn(loop.now());
        if (static_cast<int>(at_a.step()) + static_cast<int>(at_b.step()) > 0) quiet = 0;
        check(loop.blocks().in_use() < most_memory, "memory without bound");
    }
    if (untouched) check(a->finished() && b->finished(), "an undisturbed transfer did not finish");
    return 0;
}
