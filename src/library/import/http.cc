#include "library/import/http.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/progress.h"
#include "base/text/ascii.h"
#include "library/import/curl_library.h"
#include "library/import/inner_address.h"
#include "library/import/tokens.h"

namespace lowrank::library {
namespace {

constexpr int kMaxRedirects = 8;
constexpr long kConnectSeconds = 20;
constexpr long kStallSeconds = 60;  // without a byte
constexpr std::size_t kMaxHeaders = 200;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= 0x20) text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= 0x20) text.remove_suffix(1);
  return text;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What libcurl's callbacks write into.
struct Transfer {
  HttpReply reply;
  const BodySink* sink;
  const std::stop_token* stop;
  bool may_go_inside = false;  // into this machine's own network
  bool was_refused = false;    // by the sink
  bool led_inside = false;
  std::exception_ptr thrown = {};
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  if (line.starts_with("HTTP/")) {
    transfer.reply.headers.clear();
    const auto space = line.find(' ');
    transfer.reply.status = 0;
    if (space != std::string_view::npos && line.size() >= space + 4)
      std::from_chars(line.data() + space + 1, line.data() + space + 4, transfer.reply.status);
  } else if (const auto colon = line.find(':');
             colon != std::string_view::npos && transfer.reply.headers.size() < kMaxHeaders) {
    transfer.reply.headers[lower_ascii(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  return line.size();
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view piece(data, size * count);
  if (is_redirect(transfer.reply.status)) return piece.size();
  try {
    if ((*transfer.sink)(transfer.reply, piece)) return piece.size();
    transfer.was_refused = true;
  } catch (...) {
    // Exceptions must not pass through C.
    transfer.thrown = std::current_exception();
  }
  return 0;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(user)->stop->stop_requested() ? 1 : 0;
}

// The address that a name leads to is looked at here, when it is used: asking before would leave time to change it.
curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (!transfer.may_go_inside && is_inner_address(&address->addr)) {
    transfer.led_inside = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Behind a proxy only the proxy knows whom it speaks to, and its own address is the user's choice.
bool has_proxy() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
    if (const char* value = std::getenv(name); value != nullptr && *value != 0) return true;
  return false;
}

// Retry-After: seconds, or a date.
std::optional<std::chrono::seconds> retry_after(const std::string& text) {
  if (text.empty()) return std::nullopt;
  long seconds = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (failure == std::errc() && end == text.data() + text.size() && seconds >= 0)
    return std::chrono::seconds(seconds);
  std::tm time{};
  if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time) == nullptr) return std::nullopt;
  return std::chrono::seconds(std::max<long>(0, ::timegm(&time) - std::time(nullptr)));
}

[[noreturn]] void throw_led_inside(const Url& asked, const Url& target) {
  throw Error(kBadInput, "{}: leads to {}, an address inside this network, so it is not downloaded.",
              asked.shown(), target.host);
}

}  // namespace

std::string HttpReply::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

std::optional<std::uint64_t> HttpReply::content_length() const {
  const std::string text = header("content-length");
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Http::Http(std::string agent, RetryPolicy retry_policy, std::stop_token stop)
    : agent_(std::move(agent)), retry_policy_(retry_policy), stop_(std::move(stop)) {}

std::optional<HttpReply> Http::try_once(const HttpRequest& request, const BodySink& sink,
                                        std::string& why) const {
  if (!belongs_to(request.url, Site::kCivitai) && !belongs_to(request.url, Site::kHuggingFace))
    throw Error(kBadInput, "{}: is neither on Civitai nor on Hugging Face, so it is not downloaded.",
                request.url.origin());
  const bool may_go_inside = is_at_set_url(request.url);
  const Curl& api = curl();
  const std::unique_ptr<CURL, decltype(api.easy_cleanup)> handle(api.easy_init(), api.easy_cleanup);
  LOWRANK_CHECK(handle != nullptr);
  const std::string token_origin = request.url.origin();
  Transfer transfer{
      .reply = {}, .sink = &sink, .stop = &stop_, .may_go_inside = may_go_inside || has_proxy()};
  transfer.reply.url = request.url;
  std::string linked_etag;
  for (int hop = 0;; ++hop) {
    throw_if_stopped(stop_);
    const Url& url = transfer.reply.url;
    if (!may_go_inside && is_inner_host(url.host)) throw_led_inside(request.url, url);
    curl_slist* lines = nullptr;
    const auto add = [&](const std::string& line) { lines = api.slist_append(lines, line.c_str()); };
    // In clear only to this machine itself: anyone on the way could read it.
    if (!request.token.empty() && url.origin() == token_origin &&
        (url.scheme == "https" || url.is_loopback()))
      add("Authorization: Bearer " + request.token);
    if (request.range_from > 0) add(fmt::format("Range: bytes={}-", request.range_from));
    if (request.range_from > 0 && !request.if_range.empty()) add("If-Range: " + request.if_range);
    const std::unique_ptr<curl_slist, decltype(api.slist_free_all)> headers(lines, api.slist_free_all);
    const auto set = [&](CURLoption option, auto value) { api.easy_setopt(handle.get(), option, value); };
    const std::string address = url.text();
    set(CURLOPT_URL, address.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, agent_.c_str());
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, kStallSeconds);
    if (request.is_text) set(CURLOPT_ACCEPT_ENCODING, "");
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
    set(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&transfer));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
    const CURLcode code = api.easy_perform(handle.get());
    throw_if_stopped(stop_);
    if (transfer.thrown) std::rethrow_exception(transfer.thrown);
    if (transfer.led_inside && code != CURLE_OK) throw_led_inside(request.url, url);
    if (code != CURLE_OK && !transfer.was_refused) {
      why = api.easy_strerror(code);
      return std::nullopt;
    }
    if (hop == 0) linked_etag = transfer.reply.header("x-linked-etag");
    if (!is_redirect(transfer.reply.status)) break;
    const auto next = resolve_location(url, transfer.reply.header("location"));
    if (!next || (url.scheme == "https" && next->scheme == "http"))
      throw Error(kIo, "{}: redirects to an unsafe address.", url.shown());
    if (hop == kMaxRedirects) throw Error(kIo, "{}: redirects in a loop.", request.url.shown());
    transfer.reply = {};
    transfer.reply.url = *next;
  }
  transfer.reply.linked_etag = linked_etag;
  return std::move(transfer.reply);
}

void Http::wait(std::chrono::milliseconds time) const {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop_, time, [] { return false; });
  throw_if_stopped(stop_);
}

std::chrono::milliseconds Http::wait_before_retry(const HttpReply* reply, int attempt) const {
  const auto asked = reply == nullptr ? std::nullopt : retry_after(reply->header("retry-after"));
  if (!asked) return retry_policy_.first_wait * (1 << std::min(attempt, 6));
  if (*asked > retry_policy_.longest_wait)
    throw Error(kIo, "{}: asks to wait {} seconds (status {}); try again later.", reply->url.shown(),
                asked->count(), reply->status);
  return *asked;
}

HttpReply Http::fetch(const HttpRequest& request, const BodySink& sink) const {
  for (int attempt = 0;; ++attempt) {
    std::string why;
    sink(HttpReply{}, "");
    auto reply = try_once(request, sink, why);
    const bool is_last = attempt + 1 >= retry_policy_.attempts;
    if (reply && (is_last || !may_pass_when_tried_again(reply->status))) return std::move(*reply);
    if (is_last)
      throw Error(kIo, "{}: cannot be reached ({}); check the network and try again.", request.url.shown(),
                  why);
    wait(wait_before_retry(reply ? &*reply : nullptr, attempt));
  }
}

std::string Http::get_text(const HttpRequest& request, std::size_t max_bytes, const std::string& what) const {
  std::string body;
  bool is_too_long = false;
  const HttpReply reply = fetch(request, [&](const HttpReply& head, std::string_view piece) {
    if (head.status == 0) body.clear();
    if (head.status != 200) return false;
    is_too_long = body.size() + piece.size() > max_bytes;
    if (!is_too_long) body += piece;
    return !is_too_long;
  });
  if (is_too_long) throw Error(kIo, "{}: the answer has more than {} bytes.", request.url.shown(), max_bytes);
  if (reply.status != 200) throw_for_status(reply, what, "");
  return body;
}

bool may_pass_when_tried_again(int status) {
  return status == 408 || status == 429 || status >= 500;
}

void throw_for_status(const HttpReply& reply, const std::string& what, const std::string& token_hint) {
  const std::string from = reply.url.origin();
  switch (reply.status) {
    case 401:
    case 403:
      throw Error(kBadInput, "{}: {} refused the request (status {}); {}", what, from, reply.status,
                  token_hint.empty() ? "a token may be needed." : "put your token into " + token_hint + ".");
    case 404:
    case 410:
      throw Error(kNotFound, "{}: does not exist on {} (status {}).", what, from, reply.status);
    case 429:
      throw Error(kIo, "{}: {} received too many requests (status 429); try again later.", what, from);
    default:
      throw Error(kIo, "{}: {} answered with status {}; try again later.", what, from, reply.status);
  }
}

}  // namespace lowrank::library
