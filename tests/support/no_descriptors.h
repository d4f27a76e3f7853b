#pragma once

#include <gtest/gtest.h>
#include <libp/fd.h>

#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace libp {

// While it lives, this process can open no descriptor but those that were spared.
class no_descriptors {
  public:
    no_descriptors() {
        EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
        rlimit low = before_;
        low.rlim_cur = 200;
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        for (;;) {
            unique_fd fd(dup(STDERR_FILENO));
            if (!fd) break;
            hoard_.push_back(std::move(fd));
        }
    }
    ~no_descriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;
    void spare_one() { hoard_.pop_back(); }

  private:
    rlimit before_{};
    std::vector<unique_fd> hoard_;
};

}  // namespace libp
