#include "server/http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace lowrank::server {
namespace {

int milliseconds_until(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<long long>(left.count(), 0, 3'600'000));
}

void read_address(int socket, int (*get)(int, sockaddr*, socklen_t*), std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  char text[INET6_ADDRSTRLEN] = "";
  if (get(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return;
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
    port = ntohs(v4->sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    port = ntohs(v6->sin6_port);
  }
  ip = text;
}

}  // namespace

Connection::Connection(int socket, SSL* tls, const ConnectionLimits& limits, std::atomic<std::size_t>& bodies)
    : socket_(socket), tls_(tls), limits_(limits), bodies_(bodies) {}

Connection::~Connection() {
  release_body();
}

void Connection::release_body() {
  bodies_ -= body_read_;
  body_read_ = 0;
}

bool Connection::wait(short events, Clock::time_point deadline) const {
  pollfd entry{.fd = socket_, .events = events, .revents = 0};
  for (;;) {
    const int ready = poll(&entry, 1, milliseconds_until(deadline));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool Connection::wait_for_request(const std::atomic<bool>& is_stopping) {
  release_body();
  in_body_ = body_chunked_ = body_was_read_ = false;
  head_read_ = body_declared_ = 0;
  const auto idle_end = Clock::now() + limits_.idle;
  while (buffered_from_ == buffered_to_ && (tls_ == nullptr || SSL_pending(tls_) == 0)) {
    if (is_stopping || Clock::now() >= idle_end) return false;
    if (wait(POLLIN | POLLRDHUP, std::min(idle_end, Clock::now() + std::chrono::milliseconds(250)))) break;
  }
  start_ = Clock::now();
  deadline_ = start_ + limits_.head;
  return true;
}

void Connection::begin_body(std::size_t declared, bool is_chunked) {
  in_body_ = true;
  body_declared_ = declared;
  body_chunked_ = is_chunked;
  deadline_ = Clock::now() + limits_.body;
}

double Connection::seconds_since_start() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

bool Connection::is_peer_gone() const {
  if (broken_) return true;
  pollfd entry{.fd = socket_, .events = POLLRDHUP, .revents = 0};
  if (poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0)
    return true;
  return false;
}

void Connection::finish() {
  if (tls_ != nullptr && !broken_) SSL_shutdown(tls_);
  ::shutdown(socket_, SHUT_WR);
  // Closing a socket with unread bytes resets it, and the client would lose the reply that tells it why.
  char rest[4096];
  const auto end = Clock::now() + std::chrono::seconds(2);
  std::size_t drained = 0;
  while (drained < (64u << 20) && wait(POLLIN | POLLRDHUP, end)) {
    const ssize_t got = ::recv(socket_, rest, sizeof(rest), MSG_DONTWAIT);
    if (got <= 0) break;
    drained += static_cast<std::size_t>(got);
  }
}

bool Connection::is_readable() const {
  return buffered_from_ < buffered_to_ || wait(POLLIN, Clock::now());
}

bool Connection::is_writable() const {
  return !is_peer_gone() && wait(POLLOUT, Clock::now() + limits_.write_stall);
}

ssize_t Connection::refuse(int status) {
  if (refusal_ == 0) refusal_ = status;
  broken_ = broken_ || status == 0;
  return -1;
}

ssize_t Connection::receive(char* data, std::size_t size, Clock::time_point deadline) {
  for (;;) {
    short needed = POLLIN;
    if (tls_ == nullptr) {
      const ssize_t got = ::recv(socket_, data, size, MSG_DONTWAIT);
      if (got >= 0) return got;
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return refuse(0);
    } else {
      const int got = SSL_read(tls_, data, static_cast<int>(size));
      if (got > 0) return got;
      const int reason = SSL_get_error(tls_, got);
      if (reason == SSL_ERROR_ZERO_RETURN) return 0;
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return refuse(0);
      if (reason == SSL_ERROR_WANT_WRITE) needed = POLLOUT;
    }
    if (!wait(needed, deadline)) return refuse(408);
  }
}

ssize_t Connection::read(char* data, std::size_t size) {
  if (refusal_ != 0 || broken_) return -1;
  if (buffered_from_ == buffered_to_) {
    const ssize_t got = receive(buffer_.data(), buffer_.size(), deadline_);
    if (got <= 0) return got;
    buffered_from_ = 0;
    buffered_to_ = static_cast<std::size_t>(got);
  }
  const std::size_t count = std::min(size, buffered_to_ - buffered_from_);
  if (!in_body_) {
    head_read_ += count;
    if (head_read_ > limits_.head_bytes) return refuse(431);
  } else {
    body_read_ += count;
    const std::size_t all = bodies_ += count;
    if (body_read_ > limits_.body_bytes + (1u << 20)) return refuse(413);  // chunk sizes count here
    if (all > limits_.all_bodies_bytes) return refuse(503);
  }
  std::memcpy(data, buffer_.data() + buffered_from_, count);
  buffered_from_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, std::size_t size) {
  std::size_t done = 0;
  // Whoever takes less than 16 KiB a second for long holds a thread that others need.
  const auto last = Clock::now() + limits_.write_stall + std::chrono::seconds(size >> 14);
  while (done < size) {
    if (broken_) return -1;
    const std::size_t piece = std::min<std::size_t>(size - done, 1u << 20);
    short needed = POLLOUT;
    if (tls_ == nullptr) {
      const ssize_t sent = ::send(socket_, data + done, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        done += static_cast<std::size_t>(sent);
        continue;
      }
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return refuse(0);
    } else {
      const int sent = SSL_write(tls_, data + done, static_cast<int>(piece));
      if (sent > 0) {
        done += static_cast<std::size_t>(sent);
        continue;
      }
      const int reason = SSL_get_error(tls_, sent);
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return refuse(0);
      if (reason == SSL_ERROR_WANT_READ) needed = POLLIN;
    }
    if (!wait(needed, std::min(last, Clock::now() + limits_.write_stall))) return refuse(0);
  }
  return static_cast<ssize_t>(size);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  read_address(socket_, ::getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  read_address(socket_, ::getsockname, ip, port);
}

}  // namespace lowrank::server
