#include <libp/resolver.h>

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <netdb.h>

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

namespace {

// A name server that never answers, until it is told to.
class gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++inside_;
        ++came_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        --inside_;
        changed_.notify_all();
    }
    bool wait_inside(int n) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return inside_ == n; });
    }
    int came() {
        const std::lock_guard lock(mutex_);
        return came_;
    }
    void set_open(bool open) {
        const std::lock_guard lock(mutex_);
        open_ = open;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int inside_ = 0, came_ = 0;
    bool open_ = false;
};
gate silent_server;

}  // namespace

// Stands before the system's: "silent.test" waits at the gate and is then not found, all else is
// passed on.
extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    if (host != nullptr && std::strcmp(host, "silent.test") == 0) {
        silent_server.pass();
        return EAI_NONAME;
    }
    using call = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<call>(dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(host, service, hints, found);
}

namespace libp {
namespace {

constexpr auto patience = std::chrono::seconds(10);

// What the callbacks brought, and on which thread.
class answers {
  public:
    resolver::callback slot() {
        return [this](resolver::answer a) {
            const std::lock_guard lock(mutex_);
            threads_.push_back(std::this_thread::get_id());
            got_.push_back(std::move(a));
            changed_.notify_all();
        };
    }
    void ask(resolver& of, const char* host, int port = 80) {
        lookups_.push_back(of.resolve(host, std::to_string(port), false, slot()));
    }
    bool wait(std::size_t n) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return got_.size() >= n; });
    }
    std::vector<resolver::answer> got_;
    std::vector<std::thread::id> threads_;
    std::vector<resolver::lookup> lookups_;

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

TEST(ResolveNow, Numeric) {
    const auto v4 = resolve_now("127.0.0.1", "80", false);
    ASSERT_TRUE(v4);
    ASSERT_EQ(v4->size(), 1u);
    EXPECT_EQ(v4->front().to_string(), "127.0.0.1:80");
    EXPECT_EQ(resolve_now("::1", "443", false)->front().to_string(), "[::1]:443");
    EXPECT_EQ(resolve_now("127.0.0.1", "", false)->front().port(), 0);
}

TEST(ResolveNow, EmptyHost) {
    const auto any = resolve_now("", "80", true);
    ASSERT_TRUE(any);
    for (const auto& a : *any)
        EXPECT_TRUE(a.is_wildcard()) << a.to_string();
    const auto local = resolve_now("", "80", false);
    ASSERT_TRUE(local);
    for (const auto& a : *local)
        EXPECT_TRUE(a.is_loopback()) << a.to_string();
}

TEST(ResolveNow, NoAddressTwice) {
    const auto found = resolve_now("localhost", "80", false);
    ASSERT_TRUE(found);
    for (std::size_t i = 0; i < found->size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            EXPECT_FALSE((*found)[i] == (*found)[j]);
}

TEST(ResolveNow, FailureSaysWhatKindItIs) {
    const auto none = resolve_now("", "", false);
    EXPECT_EQ(none.error(), (error{reason::resolve_failed, unknown_name}));
    const auto bad = resolve_now("127.0.0.1", "no-such-service", false);
    EXPECT_EQ(bad.error(), (error{reason::resolve_failed, unknown_service}));
}

TEST(Resolver, AnswersOnAnotherThreadExactlyOnce) {
    answers a;
    {
        resolver r;
        for (int i = 0; i < 50; ++i)
            a.ask(r, "127.0.0.1", i);
        ASSERT_TRUE(a.wait(50));
    }
    EXPECT_EQ(a.got_.size(), 50u);
    std::vector<bool> seen(50);
    for (const auto& got : a.got_) {
        ASSERT_TRUE(got);
        seen.at(got->front().port()) = true;
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 50);
    for (const auto id : a.threads_)
        EXPECT_NE(id, std::this_thread::get_id());
}

TEST(Resolver, ASlowNameDoesNotHoldUpOthers) {
    silent_server.set_open(false);
    answers a;
    resolver r(2);
    a.ask(r, "silent.test");
    ASSERT_TRUE(silent_server.wait_inside(1));
    a.ask(r, "127.0.0.1");
    ASSERT_TRUE(a.wait(1));
    EXPECT_TRUE(a.got_[0]);
    silent_server.set_open(true);
    ASSERT_TRUE(a.wait(2));
    EXPECT_EQ(a.got_[1].error(), (error{reason::resolve_failed, unknown_name}));
}

// Somebody asks for names that nobody answers for, and leaves: others do not wait for them, and
// nothing is kept.
TEST(Resolver, WhatNobodyWaitsForIsNotLookedUp) {
    silent_server.set_open(false);
    answers a;
    resolver r(1);
    const int before = silent_server.came();
    a.ask(r, "silent.test");
    ASSERT_TRUE(silent_server.wait_inside(1));
    const auto held = std::make_shared<int>();
    {
        std::vector<resolver::lookup> lookups;
        for (int i = 0; i < 100; ++i)
            lookups.push_back(r.resolve("silent.test", "80", false, [held](resolver::answer) {}));
        EXPECT_EQ(r.waiting(), 101u);
        lookups[0] = std::move(lookups[1]);
        EXPECT_EQ(r.waiting(), 100u);
    }
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_EQ(r.waiting(), 1u);
    a.ask(r, "127.0.0.1");
    silent_server.set_open(true);
    ASSERT_TRUE(a.wait(2));
    EXPECT_EQ(silent_server.came(), before + 1);
}

// The destructor returns while the name server is silent, the callback and all it holds are gone by
// then, and the late answer goes nowhere.
TEST(Resolver, DyingDoesNotWaitForASilentServer) {
    silent_server.set_open(false);
    const auto held = std::make_shared<int>();
    std::atomic<int> called = 0;
    std::vector<resolver::lookup> lookups;
    {
        resolver r(1);
        for (int i = 0; i < 3; ++i)
            lookups.push_back(r.resolve("silent.test", "80", false,
                                        [held, &called](resolver::answer) { ++called; }));
        ASSERT_TRUE(silent_server.wait_inside(1));
        EXPECT_EQ(held.use_count(), 4);
    }
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_EQ(called, 0);
    silent_server.set_open(true);
    ASSERT_TRUE(silent_server.wait_inside(0));
    EXPECT_EQ(called, 0);
}

TEST(Resolver, DyingWaitsForACallbackThatRuns) {
    gate callback_gate;
    std::atomic<bool> returned = false;
    auto r = std::make_unique<resolver>(1);
    const auto asked = r->resolve("127.0.0.1", "80", false, [&](resolver::answer) {
        callback_gate.pass();
        returned = true;
    });
    ASSERT_TRUE(callback_gate.wait_inside(1));
    std::thread opener([&] { callback_gate.set_open(true); });
    r.reset();
    EXPECT_TRUE(returned);
    opener.join();
}

TEST(Resolver, DyingAtOnce) {
    for (int i = 0; i < 200; ++i) {
        std::atomic<int> called = 0;
        int after = 0;
        {
            resolver r(3);
            std::vector<resolver::lookup> lookups;
            for (int j = 0; j < 5; ++j)
                lookups.push_back(
                    r.resolve("127.0.0.1", "80", false, [&](resolver::answer) { ++called; }));
        }
        after = called;
        std::this_thread::yield();
        EXPECT_EQ(called, after);
    }
}

}  // namespace
}  // namespace libp
