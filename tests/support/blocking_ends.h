#pragma once

// A pipe, and a terminal, whose ends block: what waits for their readers waits for good.

#include <gtest/gtest.h>
#include <libp/fd.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

namespace libp {

struct pipe_ends {
    unique_fd out, in;
    pipe_ends() {
        int raw[2];
        EXPECT_EQ(pipe(raw), 0);
        out.reset(raw[0]);
        in.reset(raw[1]);
    }
};

// Empty where the system has none.
struct terminal_ends {
    unique_fd master, slave;
    terminal_ends() : master(posix_openpt(O_RDWR | O_NOCTTY)) {
        if (!master) return;
        EXPECT_EQ(grantpt(master.get()), 0);
        EXPECT_EQ(unlockpt(master.get()), 0);
        slave.reset(open(ptsname(master.get()), O_RDWR | O_NOCTTY));
        EXPECT_TRUE(slave);
    }
};

}  // namespace libp
