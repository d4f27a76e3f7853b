#pragma once

// What a program's exit status says: the numbers of sysexits.h where it has one that fits.

namespace libp::app {

enum class exit_code : int {
    ok = 0,              // done, or drained
    session_failed = 1,  // a one-shot session ended by a reset or an I/O error
    usage = 2,
    no_host = 68,      // a name does not resolve
    unavailable = 69,  // cannot connect (one-shot only: a daemon tries again)
    software = 70,     // a bug
    os_error = 71,     // the system refused
    cannot_bind = 73,
    drain_cut = 75,  // a drain ended with connections still alive
    protocol = 76,
    no_permission = 77,  // authentication, certificate or permission
    config = 78,         // a bad configuration or spec
};

}  // namespace libp::app
