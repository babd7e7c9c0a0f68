// One client's socket, plain or TLS, as cpp-httplib's Stream. It keeps slow and vanished clients from doing
// harm: a request's head and body have a time and a size within which they must arrive, a reply must keep
// flowing, and whoever waits for a result can ask whether the client is still there.
#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>

#include "request/serve_options.h"

namespace lowrank::server {

struct ConnectionLimits {
  std::size_t head_bytes = 64u << 10;
  std::size_t body_bytes = request::ServeOptions().body_bytes();  // of one request
  std::size_t all_bodies_bytes = 1024u << 20;  // of all requests that are being read or answered
  std::chrono::seconds idle{75}, head{20}, body{120}, write_stall{30};
};

class Connection : public httplib::Stream {
 public:
  // Takes over neither the socket nor the TLS state. `bodies` is shared by all connections.
  Connection(int socket, SSL* tls, const ConnectionLimits& limits, std::atomic<std::size_t>& bodies);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Waits for the first byte of the next request; false when the client is silent too long, gone, or
  // `is_stopping`.
  bool wait_for_request(const std::atomic<bool>& is_stopping);
  // The head has been read; `declared` bytes of body follow (chunked: unknown).
  void begin_body(std::size_t declared, bool is_chunked);
  // True when bytes of the present request are still unread, so that the connection cannot be used again.
  bool has_unread_body() const { return body_chunked_ ? !body_was_read_ : body_read_ < body_declared_; }
  void mark_body_read() { body_was_read_ = true; }
  // The client closed its side, or the connection broke.
  bool is_peer_gone() const;
  bool is_broken() const { return broken_; }
  int refusal() const {
    return refusal_;
  }  // HTTP status why reading stopped: 408, 413, 431, 503; 0: it did not
  double seconds_since_start() const;
  // No further request is read from here.
  void close_after_reply() { is_to_close_ = true; }
  bool is_to_close() const { return is_to_close_; }
  // Says that nothing more comes and lets the client read the reply before the socket is closed.
  void finish();

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait(short events, Clock::time_point deadline) const;
  ssize_t receive(char* data, std::size_t size, Clock::time_point deadline);
  ssize_t refuse(int status);
  void release_body();

  const int socket_;
  SSL* const tls_;
  const ConnectionLimits& limits_;
  bool is_to_close_ = false;
  std::atomic<std::size_t>& bodies_;
  std::array<char, 16384> buffer_{};
  std::size_t buffered_from_ = 0, buffered_to_ = 0;
  bool in_body_ = false, broken_ = false;
  int refusal_ = 0;
  std::size_t head_read_ = 0, body_read_ = 0, body_declared_ = 0;
  bool body_chunked_ = false, body_was_read_ = false;
  Clock::time_point start_ = Clock::now(), deadline_ = Clock::now();
};

}  // namespace lowrank::server
