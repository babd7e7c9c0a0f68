#include "cli/engine/caption_hook.h"

#include <fcntl.h>
#include <httplib.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/progress.h"
#include "base/text/base64.h"
#include "base/text/text.h"
#include "base/text/utf8.h"
#include "training/data/captions.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 1u << 20;

// The first line of an answer that holds any text.
std::string checked_caption(const std::string& answer, const fs::path& picture, const std::string& who) {
  if (!is_utf8(answer)) throw Error(kBadInput, "{}: {} did not answer in UTF-8.", picture.string(), who);
  const std::string caption = training::caption_of(answer).text;
  if (caption.empty()) throw Error(kBadInput, "{}: {} gave no caption.", picture.string(), who);
  return caption;
}

// A child that is gone with this object.
class Child {
 public:
  Child(const std::string& command, const fs::path& picture) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(kIo, "no pipe can be opened: {}.", std::strerror(errno));
    const std::string line = command + " \"$1\"", path = picture.string();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl("/bin/sh", "sh", "-c", line.c_str(), "lowrank", path.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
    if (pid_ < 0) throw Error(kIo, "no program can be started: {}.", std::strerror(errno));
  }
  ~Child() {
    ::close(out_);
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  std::string read_all(const std::stop_token& stop) {
    std::string all;
    std::array<char, 4096> piece{};
    for (;;) {
      throw_if_stopped(stop);
      pollfd ready{out_, POLLIN, 0};
      if (::poll(&ready, 1, 100) == 0) continue;
      const ssize_t count = ::read(out_, piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0 || all.size() > kMostBytes) return all;
      all.append(piece.data(), static_cast<std::size_t>(count));
    }
  }

  // Exit status; 128 and more: ended by a signal.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

struct Address {
  std::string site, path;  // "http://127.0.0.1:8000", "/caption"
};

Address address_of(const std::string& url) {
  const auto scheme = url.find("://");
  if (!(url.starts_with("http://") || url.starts_with("https://")) || scheme + 3 >= url.size())
    throw Error(kBadInput, "--caption-url is '{}', but must begin with http:// or https://.", url);
  const auto slash = std::min(url.find('/', scheme + 3), url.size());
  return {url.substr(0, slash), slash < url.size() ? url.substr(slash) : "/"};
}

}  // namespace

std::string caption_by_command(const std::string& command, const fs::path& picture,
                               const std::stop_token& stop) {
  Child child(command, picture);
  const std::string answer = child.read_all(stop);
  const int status = child.wait();
  if (status != 0)
    throw Error(kBadInput, "{}: the caption command ended with status {}.", picture.string(), status);
  return checked_caption(answer, picture, "the caption command");
}

std::string caption_by_url(const std::string& url, const fs::path& picture) {
  const Address address = address_of(url);
  httplib::Client client(address.site);
  client.set_connection_timeout(10);
  client.set_read_timeout(600);
  const nlohmann::json body = {{"image", base64(read_file(picture))},
                               {"file_name", well_formed(picture.filename().string())},
                               {"model", "clip"}};
  const auto reply = client.Post(address.path, body.dump(), "application/json");
  if (!reply)
    throw Error(kIo, "{}: {} does not answer: {}.", picture.string(), url, httplib::to_string(reply.error()));
  if (reply->status != 200)
    throw Error(kBadInput, "{}: {} answered with status {}.", picture.string(), url, reply->status);
  const auto answer = nlohmann::json::parse(reply->body, nullptr, false);
  if (!answer.is_object()) return checked_caption(reply->body, picture, url);
  const auto caption = answer.find("caption");
  if (caption == answer.end() || !caption->is_string())
    throw Error(kBadInput, "{}: {} answered without a text `caption`.", picture.string(), url);
  return checked_caption(caption->get<std::string>(), picture, url);
}

}  // namespace lowrank::cli
