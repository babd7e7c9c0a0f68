#include "server/http/connection_rejector.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "base/error.h"

namespace lowrank::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 76\r\n"
    "Retry-After: 5\r\nConnection: close\r\n\r\n"
    R"({"detail":"too many connections are open; try again later.","error":"Busy"})"
    "\n";
constexpr std::size_t kMost = 512;
constexpr std::chrono::seconds kCloseTimeout{5};

}  // namespace

struct ConnectionRejector::Guest {
  int socket;
  SSL* tls;
  Clock::time_point deadline = Clock::now() + kCloseTimeout;
  bool is_told = false;
  short events = POLLIN;  // what it waits for

  Guest(int taken, SSL_CTX* context) : socket(taken), tls(context == nullptr ? nullptr : SSL_new(context)) {
    if (tls == nullptr) return;
    SSL_set_fd(tls, socket);
    SSL_set_accept_state(tls);
  }
  ~Guest() {
    SSL_free(tls);
    ::close(socket);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
};

ConnectionRejector::ConnectionRejector(SSL_CTX* tls)
    : tls_(tls), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_ < 0) throw Error(kIo, "cannot open an event descriptor; too many files are open.");
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

ConnectionRejector::~ConnectionRejector() {
  thread_.request_stop();
  wake();
  thread_.join();
  ::close(wake_);
}

void ConnectionRejector::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
}

void ConnectionRejector::add(int socket) {
  auto guest = std::make_unique<Guest>(socket, tls_);
  serve(*guest);  // a plain one is told here and now
  {
    const std::lock_guard lock(mutex_);
    if (new_.size() < kMost) new_.push_back(std::move(guest));
  }
  wake();
}

bool ConnectionRejector::serve(Guest& guest) {
  if (!guest.is_told) {
    if (guest.tls == nullptr) {
      ::send(guest.socket, kBusy.data(), kBusy.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (const int done = SSL_write(guest.tls, kBusy.data(), static_cast<int>(kBusy.size()));
               done <= 0) {
      const int reason = SSL_get_error(guest.tls, done);
      guest.events = reason == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
      return reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ;
    } else {
      SSL_shutdown(guest.tls);
    }
    ::shutdown(guest.socket, SHUT_WR);
    guest.is_told = true;
    guest.events = POLLIN;
    guest.deadline = Clock::now() + std::chrono::seconds(2);
  }
  // Closing a socket with unread bytes resets it, and the client would lose what it was told.
  char rest[16384];
  for (ssize_t got = 1; got > 0;) {
    got = ::recv(guest.socket, rest, sizeof(rest), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return false;
  }
  return true;
}

void ConnectionRejector::work(const std::stop_token& stop) {
  std::vector<std::unique_ptr<Guest>> guests;
  while (!stop.stop_requested()) {
    {
      const std::lock_guard lock(mutex_);
      const std::size_t room = kMost - std::min(kMost, guests.size());
      if (new_.size() > room) new_.resize(room);
      std::ranges::move(new_, std::back_inserter(guests));
      new_.clear();
    }
    std::vector<pollfd> entries = {{.fd = wake_, .events = POLLIN, .revents = 0}};
    for (const auto& guest : guests)
      entries.push_back({.fd = guest->socket, .events = guest->events, .revents = 0});
    ::poll(entries.data(), entries.size(), guests.empty() ? -1 : 250);
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake_, &count, sizeof(count));
    for (std::size_t i = 0; i < guests.size(); ++i) {
      const bool is_late = Clock::now() >= guests[i]->deadline;
      if (is_late || (entries[i + 1].revents != 0 && !serve(*guests[i]))) guests[i].reset();
    }
    std::erase(guests, nullptr);
  }
}

}  // namespace lowrank::server
