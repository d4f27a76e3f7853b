#include <kit/socket_file.h>

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace libp::app {

socket_file::socket_file(std::string path) {
    struct stat now {};
    if (lstat(path.c_str(), &now) == -1) return;
    path_ = std::move(path);
    device_ = now.st_dev;
    number_ = now.st_ino;
}

socket_file::socket_file(socket_file&& from) noexcept
    : path_(std::exchange(from.path_, {})), device_(from.device_), number_(from.number_) {}

socket_file::~socket_file() {
    struct stat now {};
    if (path_.empty() || lstat(path_.c_str(), &now) == -1) return;
    if (now.st_dev == device_ && now.st_ino == number_) unlink(path_.c_str());
}

}  // namespace libp::app
