#pragma once

// Plain blocking sockets for the two ends of a program under test. Nothing here uses the library: a
// test of the library should not believe it.
//
// Every call ends after a while (20 s) at the latest.

#include <string>

namespace libp::app {

class test_socket {
  public:
    test_socket() = default;
    explicit test_socket(int fd) noexcept : fd_(fd) {}
    test_socket(test_socket&& other) noexcept;
    test_socket& operator=(test_socket&& other) noexcept;
    ~test_socket();

    // To "127.0.0.1:80" or "/path"; not open if it was refused.
    static test_socket connect(const std::string& address);
    bool is_open() const noexcept { return fd_ >= 0; }
    int fd() const noexcept { return fd_; }

    bool send(const std::string& data);
    // Exactly `size` bytes; fewer if the connection ended or time ran out.
    std::string receive(std::size_t size);
    // Everything until the peer ends. `how_it_ended`: "fin", "reset", "timeout".
    std::string receive_all(std::string* how_it_ended = nullptr);
    // Waits for the end without caring for bytes: "fin", "reset", "timeout".
    std::string wait_end();
    void send_fin();
    // Closes with RST.
    void reset();
    void close();

  private:
    int fd_ = -1;
};

class test_listener {
  public:
    // At a free port of 127.0.0.1, or at a UNIX path.
    explicit test_listener(const std::string& path = {});
    ~test_listener();
    test_listener(const test_listener&) = delete;
    test_listener& operator=(const test_listener&) = delete;

    const std::string& address() const noexcept { return address_; }
    // Not open if nobody came.
    test_socket accept();

  private:
    int fd_ = -1;
    std::string address_;
};

// A port of 127.0.0.1 that refuses connections, and is nobody else's while this lives.
class refusing_port {
  public:
    refusing_port();
    ~refusing_port();
    refusing_port(const refusing_port&) = delete;
    refusing_port& operator=(const refusing_port&) = delete;

    const std::string& address() const noexcept { return address_; }

  private:
    int fd_ = -1;
    std::string address_;
};

// A name without an address, and a port. A label of it is too long, so no name server need be
// asked, and none be there.
inline constexpr const char* no_such_name =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid:1";

}  // namespace libp::app
