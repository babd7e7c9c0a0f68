// Fetching over HTTP with the patience and the distrust that downloads need: redirects are followed by hand,
// a token never leaves its own site, what fails in passing is tried again, and every wait can be stopped. Only
// addresses of the sites are asked, and no redirect leads into this machine's own network, unless the user has set a
// base URL there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "library/import/url.h"

namespace lowrank::library {

struct HttpRequest {
  Url url;
  std::string token = {};        // sent as a bearer while the origin is that of `url`
  std::uint64_t range_from = 0;  // 0: the whole
  std::string if_range = {};     // entity tag: the rest only if it is still this, else the whole
  bool is_text = true;           // an answer that may be compressed on its way
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of the last redirect's target
  Url url;                                     // where the answer came from
  std::string linked_etag;                     // x-linked-etag of the first answer (Hugging Face)

  std::string header(const std::string& name) const;
  std::optional<std::uint64_t> content_length() const;
};

// Receives the body piece by piece, with the reply's head. Before each try it is called with status 0 and no
// bytes: what came so far is void. Returning false ends the transfer.
using BodySink = std::function<bool(const HttpReply& head, std::string_view piece)>;

struct RetryPolicy {
  int attempts = 5;                           // of one request, for connections that fail, 429 and 5xx
  std::chrono::milliseconds first_wait{500};  // doubled each time, unless the site says how long
  std::chrono::seconds longest_wait{120};     // a site that asks for more is an Error that says so
};

class Http {
 public:
  Http(std::string agent, RetryPolicy retry_policy, std::stop_token stop);

  // One request with its redirects, tried again as the retry policy allows. The reply may have any final status.
  // Throws Error(kIo) when no answer came, with how far the body got told to nobody: the sink knows. Throws
  // kCancelled.
  HttpReply fetch(const HttpRequest& request, const BodySink& sink) const;
  // The body of a 200 as text of at most `max_bytes`. Throws Error for every other status, in words.
  std::string get_text(const HttpRequest& request, std::size_t max_bytes, const std::string& what) const;

  // One try without waiting; nullopt: the connection failed on the way, `why` says how.
  std::optional<HttpReply> try_once(const HttpRequest& request, const BodySink& sink, std::string& why) const;
  // Sleeps, ending early with kCancelled on a stop.
  void wait(std::chrono::milliseconds time) const;
  // How long to wait before the next try of something that was answered so. Throws Error when the site asks
  // for more than the retry policy allows.
  std::chrono::milliseconds wait_before_retry(const HttpReply* reply, int attempt) const;

  const RetryPolicy& retry_policy() const { return retry_policy_; }
  const std::stop_token& stop() const { return stop_; }

 private:
  std::string agent_;
  RetryPolicy retry_policy_;
  std::stop_token stop_;
};

bool may_pass_when_tried_again(int status);  // 408, 429, 5xx

// The sentence for a status that is no success: what it means and what to do. `what` names the thing asked
// for.
[[noreturn]] void throw_for_status(const HttpReply& reply, const std::string& what,
                                   const std::string& token_hint);

}  // namespace lowrank::library
