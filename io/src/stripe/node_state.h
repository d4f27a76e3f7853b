#pragma once

// The node's state, shared by the files that implement it:
//
//     node.cc          sessions, the streams that wait for one, and the public calls
//     node_joining.cc  subflows on their way into a session

#include <libp/log_quota.h>
#include <libp/stripe/node.h>

#include "stripe/joining_pipe.h"
#include "stripe/memory_shares.h"
#include "stripe/parting_pipe.h"
#include "stripe/session.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace libp::stripe {

struct node::core final : joining_pipe::judge, session::keeper {
    core(event_loop& l, const log& o, const node_options& opts, stream_handler handler);

    // -- joining_pipe::judge
    error hello_came(joining_pipe& j) override;
    void shaken(joining_pipe& j) override;
    void failed(joining_pipe& j, error why) override;
    // -- session::keeper
    void part(std::unique_ptr<io_pipe> pipe, chain rest) override {
        see_off(parting, std::move(pipe), std::move(rest));
    }
    void completed(striped_stream& s, chain unread) override;
    void unfinished_changed(std::size_t was, std::size_t is) override;
    bool may_log_session() override { return may_log(sessions_logged, "session", "up or down"); }
    bool may_log_subflow() override { return may_log(subflows_logged, "subflow", "up or down"); }
    void session_silent() override {
        if (silence) silence();
    }
    void session_over(session& which) override;

    // Says first how many there were that it might not.
    bool may_log(log_quota& quota, std::string_view topic, std::string_view state);
    void log_refusal(const subflow_origin& from, error why);
    hello own_hello(const subflow_path& path) const;
    static void learn_path(subflow_path& path, std::string& route, const hello& peer);
    std::unique_ptr<joining_pipe> take(joining_pipe& j);
    bool make_room();
    session* find(const session_key& key) noexcept;
    session* usable() noexcept;
    session& begin_session(const joining_pipe& first);
    void end_restarted(const joining_pipe& by);
    void end_lost(const joining_pipe& by, error why);
    void begin_anew(joining_pipe& after);
    void take_new_instance() noexcept;
    void open_waiting();
    using parting_pipes = std::vector<std::unique_ptr<parting_pipe>>;
    void see_off(parting_pipes& with, std::unique_ptr<io_pipe> pipe, chain rest);
    void on_parted(parting_pipe& p);
    void on_chores();
    void on_close_limit();
    bool make_place();

    event_loop& loop;
    const log& out;
    const node_options options;
    const stream_handler handler;
    stripe::scheduler scheduler;  // of sessions to come
    identity who;
    memory_shares shares;
    // Streams with unread bytes whose session is over. Before the sessions: they may add to it to
    // their very end.
    intrusive_list<striped_stream, &striped_stream::hook> outliving;
    // What they have, or more: counted again only where it seems too much, and once a turn, because
    // a session may end with thousands of them.
    std::size_t kept_unread = 0;
    std::uint64_t kept_counted_in = 0;
    std::size_t unfinished = 0;  // bytes that all subflows have of frames that have not come whole
    std::vector<std::unique_ptr<joining_pipe>> joining;
    std::vector<std::unique_ptr<session>> sessions;  // oldest first; those that are over included
    parting_pipes parting;                           // behind a goodbye
    parting_pipes refused;                           // behind a refusal: nobody waits for them
    std::deque<session_key> ended;
    intrusive_list<striped_stream, &striped_stream::hook> waiting;
    timer close_limit;
    deferred chores;  // reaps sessions that are over
    log_quota refusals_logged{10}, sessions_logged{50}, subflows_logged{50};
    error trouble{};
    delegate<void()> closed, want, silence;
    bool closing = false;
    bool replacing = false;  // a session ends because another is about to begin
};

}  // namespace libp::stripe
