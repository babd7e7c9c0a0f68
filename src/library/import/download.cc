#include "library/import/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/sha256.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Room that downloads leave on the disk for everyone else.
constexpr std::uint64_t kReserveBytes = 200u << 20;
// Tries without one new byte; with new bytes it goes on.
constexpr int kFruitlessTries = 5;

std::string text_digest(const std::string& text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// The same file from the same place, whatever its signed address of today.
fs::path part_path(const DownloadRequest& request) {
  const std::string identity =
      request.sha256.empty() ? request.url.shown() + " " + request.what : request.sha256;
  return request.folder / fmt::format(".lowrank-{}.part", text_digest(identity).substr(0, 16));
}

fs::path note_path(const fs::path& part) {
  return part.string() + ".json";
}

std::string read_etag(const fs::path& part) {
  std::error_code failure;
  if (!fs::exists(note_path(part), failure)) return "";
  const json note = json::parse(read_file(note_path(part), 1 << 16), nullptr, false);
  return note.is_object() && note.contains("etag") && note["etag"].is_string()
             ? note["etag"].get<std::string>()
             : "";
}

// An entity tag that stands for the very bytes; weak ones do not.
std::string strong_etag(const HttpReply& reply) {
  const std::string etag = reply.header("etag");
  return etag.size() >= 2 && etag.front() == '"' && etag.back() == '"' ? etag : "";
}

// The part as an open, locked file.
class Part {
 public:
  explicit Part(const fs::path& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0)
      throw Error(kIo, "{}: cannot be written ({}).", path.parent_path().string(), std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      throw Error(kConflict, "{}: another process is already downloading this file.", path.string());
    }
  }
  ~Part() { ::close(descriptor_); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  std::uint64_t size() const {
    struct stat status {};
    return ::fstat(descriptor_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }
  void cut(std::uint64_t bytes) {
    if (::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0)
      throw Error(kIo, "{}: cannot be written ({}).", path_.string(), std::strerror(errno));
  }
  void append(std::string_view piece) {
    ::lseek(descriptor_, 0, SEEK_END);
    while (!piece.empty()) {
      const ssize_t done = ::write(descriptor_, piece.data(), piece.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0)
        throw Error(kIo, "{}: writing failed ({}); the part downloaded so far is kept for the next try.",
                    path_.string(), std::strerror(errno));
      piece.remove_prefix(static_cast<std::size_t>(done));
    }
  }
  void sync() { ::fsync(descriptor_); }

 private:
  fs::path path_;
  int descriptor_;
};

void check_room(const DownloadRequest& request, std::uint64_t bytes) {
  struct statvfs disk {};
  if (::statvfs(request.folder.c_str(), &disk) != 0) return;
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (free < bytes || free - bytes < kReserveBytes)
    throw Error(kIo, "{}: needs {} bytes, but {} has only {} free; free some space and try again.",
                request.what, bytes, request.folder.string(), free);
}

void check_size(const DownloadRequest& request, std::uint64_t bytes) {
  if (bytes > request.max_bytes)
    throw Error(
        kBadInput,
        "{}: has {} bytes according to the site, more than the {} allowed; raise the limit with --max-size.",
        request.what, bytes, request.max_bytes);
}

// "bytes 100-199/200" → where it begins and the whole.
struct ContentRange {
  std::uint64_t begin = 0, whole = 0;
};
std::optional<ContentRange> content_range(const std::string& text) {
  ContentRange range;
  std::uint64_t end = 0;
  const char* const last = text.data() + text.size();
  if (!text.starts_with("bytes ")) return std::nullopt;
  auto at = std::from_chars(text.data() + 6, last, range.begin);
  if (at.ec != std::errc() || at.ptr == last || *at.ptr != '-') return std::nullopt;
  at = std::from_chars(at.ptr + 1, last, end);
  if (at.ec != std::errc() || at.ptr == last || *at.ptr != '/') return std::nullopt;
  at = std::from_chars(at.ptr + 1, last, range.whole);
  if (at.ec != std::errc() || at.ptr != last) return std::nullopt;
  return range;
}

class Fetching {
 public:
  Fetching(const Http& http, const DownloadRequest& request, const DownloadProgress& progress,
           const fs::path& path)
      : http_(http),
        request_(request),
        progress_(progress),
        path_(path),
        part_(path),
        total_(request.size.value_or(0)) {}

  Downloaded run() {
    Downloaded result{.part = path_};
    const std::uint64_t found = part_.size();
    // Without a hash or an entity tag nothing says that the rest belongs to the beginning.
    if (found > 0 && request_.sha256.empty() && read_etag(path_).empty()) part_.cut(0);
    if (request_.size && part_.size() > *request_.size) part_.cut(0);
    result.was_resumed = part_.size() > 0;
    int fruitless = 0;
    while (!is_complete()) {
      const std::uint64_t before = part_.size();
      std::string why;
      auto reply = try_once(why);
      if (reply && is_done_) {
        result.reply = std::move(*reply);
        break;
      }
      if (reply && reply->status == 416) {
        part_.cut(0);  // what lies there is longer than the file
        reply.reset();
        why = "the file became shorter";
      } else if (reply && !may_pass_when_tried_again(reply->status) && reply->status != 200 &&
                 reply->status != 206) {
        throw_for_status(*reply, request_.what, request_.token_hint);
      }
      fruitless = part_.size() > before ? 0 : fruitless + 1;
      if (fruitless >= http_.retry_policy().attempts || fruitless >= kFruitlessTries) {
        if (reply && reply->status >= 400) throw_for_status(*reply, request_.what, request_.token_hint);
        throw Error(kIo,
                    "{}: the connection failed ({}); the part downloaded so far is kept for the next try.",
                    request_.what, why);
      }
      http_.wait(http_.wait_before_retry(reply ? &*reply : nullptr, fruitless));
    }
    part_.sync();
    result.bytes = part_.size();
    return result;
  }

 private:
  bool is_complete() const { return request_.size && part_.size() == *request_.size && *request_.size > 0; }

  std::optional<HttpReply> try_once(std::string& why) {
    const std::string etag = read_etag(path_);
    const HttpRequest request{.url = request_.url,
                              .token = request_.token,
                              .range_from = part_.size(),
                              .if_range = etag,
                              .is_text = false};
    is_open_ = is_done_ = false;
    auto reply = http_.try_once(
        request, [&](const HttpReply& head, std::string_view piece) { return take(head, piece); }, why);
    // An empty body calls no sink.
    if (reply && !is_open_ && (reply->status == 200 || reply->status == 206)) begin(*reply);
    is_done_ = reply && is_open_ && (total_ == 0 || part_.size() == total_);
    if (reply && is_open_ && !is_done_) why = "it ended early";
    return reply;
  }

  bool take(const HttpReply& head, std::string_view piece) {
    if (head.status != 200 && head.status != 206) return false;
    if (!is_open_) begin(head);
    const std::uint64_t after = part_.size() + piece.size();
    check_size(request_, after);
    if (total_ != 0 && after > total_)
      throw Error(kIo, "{}: sends more than the announced {} bytes.", request_.what, total_);
    part_.append(piece);
    progress_(after, total_);
    return true;
  }

  // Looks at the head of an answer before its first byte is kept.
  void begin(const HttpReply& head) {
    is_open_ = true;
    const std::string type = head.header("content-type");
    if (type.starts_with("text/html"))
      throw Error(kBadInput, "{}: {} answered with a web page instead of the file; {}", request_.what,
                  head.url.origin(),
                  request_.token_hint.empty()
                      ? "open its page in a browser to see why."
                      : "a login is needed: put your token into " + request_.token_hint + ".");
    std::uint64_t whole = 0;
    if (head.status == 206) {
      const auto range = content_range(head.header("content-range"));
      if (!range || range->begin != part_.size()) {
        part_.cut(0);
        throw Error(kIo, "{}: {} sent a different part than requested; try again.", request_.what,
                    head.url.origin());
      }
      whole = range->whole;
    } else {
      part_.cut(0);  // the file changed, or the site knows no parts: from the beginning
      whole = head.content_length().value_or(0);
    }
    if (request_.size && whole != 0 && whole != *request_.size)
      throw Error(kIo, "{}: has {} bytes, but {} were announced; the file may have been replaced, try again.",
                  request_.what, whole, *request_.size);
    if (whole != 0) total_ = whole;
    check_size(request_, total_);
    check_room(request_, total_ > part_.size() ? total_ - part_.size() : 0);
    if (const std::string etag = strong_etag(head); !etag.empty())
      write_file(note_path(path_), json({{"etag", etag}, {"from", request_.url.shown()}})
                                       .dump(2, ' ', false, json::error_handler_t::replace));
    else
      ::unlink(note_path(path_).c_str());
  }

  const Http& http_;
  const DownloadRequest& request_;
  const DownloadProgress& progress_;
  const fs::path path_;
  Part part_;
  std::uint64_t total_;   // 0: not stated
  bool is_open_ = false;  // the answer's head was looked at
  bool is_done_ = false;
};

}  // namespace

Downloaded download(const Http& http, const DownloadRequest& request, const DownloadProgress& progress) {
  if (request.size) check_size(request, *request.size);
  std::error_code failure;
  fs::create_directories(request.folder, failure);
  const fs::path path = part_path(request);
  for (int round = 0;; ++round) {
    Downloaded result;
    try {
      result = Fetching(http, request, progress, path).run();
    } catch (const Error&) {
      // A part without a byte is no help to anyone.
      if (fs::file_size(path, failure) == 0) discard_part(path);
      throw;
    }
    if (request.size && result.bytes != *request.size) {
      discard_part(path);
      throw Error(kIo, "{}: has {} bytes, but {} were announced; try again.", request.what, result.bytes,
                  *request.size);
    }
    result.hashes = hash_file(path, http.stop());
    if (request.sha256.empty() || result.hashes.sha256 == request.sha256) return result;
    discard_part(path);
    // The beginning may have been of another file.
    if (result.was_resumed && round == 0) continue;
    throw Error(kIo,
                "{}: the download does not match its checksum (SHA-256 {} instead of {}) and was discarded; "
                "try again.",
                request.what, result.hashes.sha256.substr(0, 12), request.sha256.substr(0, 12));
  }
}

bool put_in_place(const fs::path& part, const fs::path& target) {
  std::error_code failure;
  fs::create_directories(target.parent_path(), failure);
  // A link fails where a file is; a rename would replace it.
  if (::link(part.c_str(), target.c_str()) == 0) {
    discard_part(part);
    return true;
  }
  if (errno == EEXIST) return false;
  // No hard links on this file system.
  if (fs::exists(target, failure)) return false;
  if (::rename(part.c_str(), target.c_str()) != 0)
    throw Error(kIo, "{}: cannot be moved into place ({}).", target.string(), std::strerror(errno));
  discard_part(part);
  return true;
}

void discard_part(const fs::path& part) {
  ::unlink(part.c_str());
  ::unlink(note_path(part).c_str());
}

}  // namespace lowrank::library
