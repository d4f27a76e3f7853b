#pragma once

// The file of a UNIX socket that this program listens on: removed with this object, if it is still
// that file. Whoever took it away and put another there has a server of his own by now, that would
// be out of reach.

#include <sys/types.h>

#include <string>

namespace libp::app {

class socket_file {
  public:
    // The file that `path` is now.
    explicit socket_file(std::string path);
    socket_file(socket_file&& from) noexcept;
    socket_file& operator=(socket_file&&) = delete;
    ~socket_file();

  private:
    std::string path_;  // empty: none
    dev_t device_ = 0;
    ino_t number_ = 0;
};

}  // namespace libp::app
