// Who may talk to whom, and what is said of those who may not.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "support/byte_traffic.h"
#include "tls/tls_ends.h"

namespace libp {
namespace {

namespace fs = std::filesystem;

// Remembers the last refusal.
struct refusal_note {
    explicit refusal_note(tls_credentials& of) {
        of.on_refusal(tls_credentials::refusal_handler::to<&refusal_note::take>(*this));
    }
    void take(const tls_refusal& r) {
        last = r;
        ++count;
    }
    tls_refusal last;
    int count = 0;
};

struct tls_trust_test : tls_ends {
    // What becomes of the two: a few bytes must pass for it to be well.
    struct outcome {
        error client, server;
        bool well() const { return !client && !server; }
    };
    outcome shake(const tls_options& client_options, const tls_options& server_options,
                  const std::string& name = "localhost") {
        client.reset();  // before the credentials they use
        server.reset();
        client_credentials = world.make(client_options);
        server_credentials = world.make(server_options);
        client_note.emplace(*client_credentials);
        server_note.emplace(*server_credentials);
        connect(*client_credentials, *server_credentials, name);
        const traffic few{1, 100};
        traffic_end a(loop, *client, {.out = few, .in = few});
        traffic_end b(loop, *server, {.out = few, .in = few});
        EXPECT_TRUE(wait_until(loop,
                               [&] {
                                   return (a.done() || client->has(io_flag::broken)) &&
                                          (b.done() || server->has(io_flag::broken));
                               }))
            << a.story() << b.story();
        client_identity = client->peer_identity();
        server_identity = server->peer_identity();
        client->attach({});
        server->attach({});
        return {client->why(), server->why()};
    }

    std::optional<refusal_note> client_note, server_note;
    std::string client_identity, server_identity;
};

// -- who may talk to whom -------------------------------------------------------------------------

TEST_F(tls_trust_test, trusts_an_authority_and_a_name) {
    EXPECT_TRUE(shake(world.client(), world.server()).well());
    EXPECT_EQ(client_identity, "verified");
    EXPECT_EQ(server_identity, "anybody");
    EXPECT_TRUE(shake(world.client(), world.server(), "127.0.0.1").well());
    EXPECT_EQ(client_note->count + server_note->count, 0);
}

TEST_F(tls_trust_test, refuses_certificates_that_do_not_verify) {
    struct refused {
        const char* server;
        const char* name;
        int code;
        int alert;
    };
    for (const refused& r : {refused{"server", "example.org", 62, 42},
                             {"server", "127.0.0.2", 64, 42},
                             {"other", "localhost", 62, 42},
                             {"expired", "localhost", 10, 45},
                             {"client", "laptop", 26, 43},
                             {"selfsigned", "localhost", 18, 48},
                             {"stranger", "localhost", 18, 48}}) {
        SCOPED_TRACE(std::string(r.server) + " as " + r.name);
        const outcome o = shake(world.client(), world.server(r.server), r.name);
        EXPECT_EQ(o.client, (error{reason::bad_certificate, r.code})) << to_string(o.client);
        EXPECT_EQ(o.server, (error{reason::auth_failed, r.alert})) << to_string(o.server);
        EXPECT_EQ(client_note->count, 1);
        EXPECT_EQ(client_note->last.why, o.client);
        EXPECT_EQ(client_note->last.name, r.name);
        EXPECT_TRUE(client_note->last.pin);
        EXPECT_EQ(client_identity, "");
    }
}

TEST_F(tls_trust_test, the_systems_authorities_do_not_know_ours) {
    const outcome o = shake({}, world.server());
    EXPECT_EQ(o.client.why, reason::bad_certificate) << to_string(o.client);
}

TEST_F(tls_trust_test, a_pin_takes_exactly_that_key) {
    shake(world.client(), world.server("selfsigned"));
    const tls_pin pin = client_note->last.pin.value();
    tls_options pinned;
    pinned.pins = {pin};
    EXPECT_TRUE(shake(pinned, world.server("selfsigned"), "any.name").well());
    EXPECT_EQ(client_identity, "verified");
    // Well certified, but another.
    const outcome o = shake(pinned, world.server());
    EXPECT_EQ(o.client, (error{reason::bad_certificate, 28})) << to_string(o.client);
    EXPECT_EQ(o.server.why, reason::auth_failed);
    pinned.authorities = world.file("authority.pem");
    EXPECT_FALSE(shake(pinned, world.server()).well()) << "an authority beside a pin opens nothing";
    pinned.verify = false;
    EXPECT_EQ(shake(pinned, world.server()).client, (error{reason::bad_certificate, 28}));
}

// The key that is pinned is the server's own: that of an authority above it opens nothing.
TEST_F(tls_trust_test, a_pin_is_of_the_leaf) {
    shake(world.client(), world.server("stranger"));
    tls_options pinned;
    pinned.pins = {client_note->last.pin.value()};
    EXPECT_TRUE(shake(pinned, world.server("stranger")).well());
    pinned.pins.clear();
    shake(world.client(), world.server("authority"), "nobody");
    pinned.pins = {client_note->last.pin.value()};
    std::ofstream chain(world.file("chain.pem"));
    for (const char* part : {"server.pem", "authority.pem"})
        chain << std::ifstream(world.file(part)).rdbuf();
    chain.close();
    tls_options with_chain = world.server();
    with_chain.certificate = world.file("chain.pem");
    EXPECT_TRUE(shake(world.client(), with_chain).well());
    EXPECT_EQ(shake(pinned, with_chain).client, (error{reason::bad_certificate, 28}));
}

TEST_F(tls_trust_test, not_verifying_takes_anyone_and_says_so) {
    tls_options anyone;
    anyone.verify = false;
    EXPECT_TRUE(shake(anyone, world.server("expired"), "example.org").well());
    EXPECT_EQ(client_identity, "unverified");
}

TEST_F(tls_trust_test, a_server_may_demand_a_certificate) {
    tls_options demanding = world.server();
    demanding.client_authorities = world.file("authority.pem");
    outcome o = shake(world.client(), demanding);
    EXPECT_EQ(o.server, (error{reason::auth_failed, 116})) << to_string(o.server);
    EXPECT_EQ(o.client, (error{reason::auth_failed, 116})) << to_string(o.client);

    tls_options known = world.client();
    known.certificate = world.file("client.pem");
    known.private_key = world.file("client.key");
    EXPECT_TRUE(shake(known, demanding).well());
    EXPECT_EQ(server_identity, "certificate /CN=laptop");

    demanding.client_authorities = world.file("stranger.pem");
    o = shake(known, demanding);
    EXPECT_EQ(o.server.why, reason::bad_certificate) << to_string(o.server);
    EXPECT_EQ(o.client.why, reason::auth_failed) << to_string(o.client);
    const tls_pin pin = server_note->last.pin.value();

    tls_options pinned = world.server();
    pinned.pins = {pin};
    EXPECT_TRUE(shake(known, pinned).well());
    EXPECT_EQ(server_identity, pin.to_string());
}

TEST_F(tls_trust_test, shared_keys_must_be_the_same) {
    const std::string one(64, '1'), two(64, '2');
    tls_options a, b;
    b.server = true;
    b.shared_keys = world.key_file("b", "x:" + two + "\nlaptop:" + one + "\n");
    a.shared_keys = world.key_file("a", "laptop:" + one + "\n");
    EXPECT_TRUE(shake(a, b).well());
    EXPECT_EQ(server_identity, "key laptop");
    EXPECT_EQ(client_identity, "key laptop");

    a.shared_keys = world.key_file("a", "laptop:" + two + "\n");
    outcome o = shake(a, b);
    EXPECT_EQ(o.client.why, reason::wrong_key) << to_string(o.client);
    EXPECT_EQ(o.server.why, reason::wrong_key) << to_string(o.server);
    EXPECT_EQ(server_note->last.key_id, "laptop");
    const std::string told = client_note->last.detail;

    a.shared_keys = world.key_file("a", "nobody:" + one + "\n");
    o = shake(a, b);
    EXPECT_EQ(o.client.why, reason::wrong_key) << to_string(o.client);
    EXPECT_EQ(o.server.why, reason::wrong_key) << to_string(o.server);
    EXPECT_EQ(server_note->last.detail, "no key of that id");
    EXPECT_EQ(client_note->last.detail, told) << "strangers must not learn which ids there are";

    // One end with a key, the other with certificates.
    o = shake(world.client(), b);
    EXPECT_EQ(o.server.why, reason::wrong_key) << to_string(o.server);
    EXPECT_EQ(o.client.why, reason::auth_failed) << to_string(o.client);
    a.shared_keys = world.key_file("a", "laptop:" + one + "\n");
    o = shake(a, world.server());
    EXPECT_EQ(o.client.why, reason::wrong_key) << to_string(o.client);
    EXPECT_NE(o.server.why, reason::none);
}

TEST_F(tls_trust_test, protocols_inside_must_be_the_same) {
    tls_options a = world.client(), b = world.server();
    a.protocol = b.protocol = "stripe/1";
    EXPECT_TRUE(shake(a, b).well());
    a.protocol = "http/1.1";
    EXPECT_EQ(shake(a, b).server.why, reason::protocol_error);
    b.protocol = "";
    EXPECT_TRUE(shake(a, b).well()) << "who asks for none takes any";
}

TEST_F(tls_trust_test, older_versions_only_where_both_allow_them) {
    tls_options a = world.client(), b = world.server();
    a.allow_tls12 = b.allow_tls12 = true;
    EXPECT_TRUE(shake(a, b).well());
}

// -- files ----------------------------------------------------------------------------------------

TEST_F(tls_trust_test, says_which_file_is_wrong) {
    const std::string text = world.key_file("text", "no certificate\n");
    const auto fault_of = [&](const tls_options& options) {
        tls_fault wrong;
        EXPECT_EQ(tls_credentials::make(world.library(), options, wrong), nullptr);
        return wrong;
    };
    tls_options o = world.server();
    o.certificate = world.file("nowhere.pem");
    EXPECT_EQ(fault_of(o).what, o.certificate + ": no such file or directory");
    o.certificate = text;
    EXPECT_EQ(fault_of(o).what.find(text + ": no certificate: "), 0u) << fault_of(o).what;
    o = world.server();
    o.private_key = text;
    EXPECT_EQ(fault_of(o).what.find(text + ": no private key: "), 0u) << fault_of(o).what;
    o.private_key = world.file("client.key");
    EXPECT_NE(fault_of(o).what.find("mismatch"), std::string::npos) << fault_of(o).what;
    o = {};
    o.server = true;
    EXPECT_NE(fault_of(o).what, "");
    o = {};
    o.authorities = text;
    EXPECT_EQ(fault_of(o).what.find(text + ": "), 0u);

    o.shared_keys = world.key_file("exposed", std::string(64, '3'));
    fs::permissions(o.shared_keys, fs::perms::others_read, fs::perm_options::add);
    EXPECT_TRUE(fault_of(o).exposed);
    EXPECT_EQ(fault_of(o).what.find("3333"), std::string::npos);
    o.shared_keys = world.key_file("badkey", "id:" + std::string(63, '3'));
    EXPECT_NE(fault_of(o).what.find("badkey: line 1: "), std::string::npos) << fault_of(o).what;
    EXPECT_EQ(fault_of(o).what.find("3333"), std::string::npos);
}

TEST_F(tls_trust_test, reloads_files_and_keeps_what_it_had_when_they_are_bad) {
    tls_options b = world.server();
    for (const char* end : {".pem", ".key"})
        fs::copy_file(world.file(std::string("server") + end),
                      world.file(std::string("current") + end),
                      fs::copy_options::overwrite_existing);
    b.certificate = world.file("current.pem");
    b.private_key = world.file("current.key");
    EXPECT_TRUE(shake(world.client(), b).well());
    // A connection that lives while the certificate changes.
    connect(*client_credentials, *server_credentials);
    const traffic t{5, 100'000};
    traffic_end a(loop, *client, {.out = t, .in = t});
    traffic_end s(loop, *server, {.out = t, .in = t});
    ASSERT_TRUE(wait_until(loop, [&] { return s.received() > 0; }));

    tls_fault wrong;
    fs::copy_file(world.file("selfsigned.pem"), b.certificate,
                  fs::copy_options::overwrite_existing);
    EXPECT_FALSE(server_credentials->reload(wrong)) << "that key is not the certificate's";
    fs::copy_file(world.file("selfsigned.key"), b.private_key,
                  fs::copy_options::overwrite_existing);
    EXPECT_TRUE(server_credentials->reload(wrong)) << wrong.what;
    EXPECT_TRUE(wait_until(loop, [&] { return a.done() && s.done(); })) << a.story() << s.story();

    connect(*client_credentials, *server_credentials);
    listener wake_a(*client), wake_b(*server);
    EXPECT_TRUE(wait_until(loop, [&] { return client->has(io_flag::broken); }));
    EXPECT_EQ(client->why().why, reason::bad_certificate);
}

}  // namespace
}  // namespace libp
