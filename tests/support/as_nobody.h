#pragma once

// While one lives, root's process may do no more than anybody: so that what the system refuses can
// be tested there too.

#include <unistd.h>

#include <cstdlib>

namespace libp {

class as_nobody {
  public:
    as_nobody() : was_root_(geteuid() == 0 && seteuid(65534) == 0) {}
    ~as_nobody() {
        if (was_root_ && seteuid(0) != 0) std::abort();
    }
    as_nobody(const as_nobody&) = delete;
    as_nobody& operator=(const as_nobody&) = delete;

  private:
    const bool was_root_;
};

}  // namespace libp
