#include "base/text/text_file.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/atomic_file.h"
#include "base/error.h"

namespace lowrank {
namespace {

struct Mark {
  std::string_view bytes, encoding;
};
using namespace std::string_view_literals;
// The longer mark first: that of UTF-32 begins with that of UTF-16.
constexpr std::array kMarks = {
    Mark{"\xff\xfe\0\0"sv, "UTF-32LE"}, Mark{"\0\0\xfe\xff"sv, "UTF-32BE"}, Mark{"\xef\xbb\xbf"sv, "UTF-8"},
    Mark{"\xff\xfe"sv, "UTF-16LE"},     Mark{"\xfe\xff"sv, "UTF-16BE"},
};

// iconv reads more into a name than a name ("//TRANSLIT"), and knows some spellings but not others.
std::string iconv_name(const std::string& encoding) {
  std::string name;
  for (const char c : encoding)
    name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c == '_' ? '-' : c;
  const bool is_plain = std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == ':';
  });
  if (!is_plain) return "";
  return name == "LATIN-1" ? "ISO-8859-1" : name;
}

class Converter {
 public:
  explicit Converter(const std::string& from) : handle_(::iconv_open("UTF-8", from.c_str())) {}
  ~Converter() {
    if (is_open()) ::iconv_close(handle_);
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  bool is_open() const { return handle_ != reinterpret_cast<iconv_t>(-1); }

  // Appends UTF-8; the number of bytes that were understood, all of them unless the next does not fit.
  std::size_t run(std::string_view bytes, std::string& out) {
    char* in = const_cast<char*>(bytes.data());  // iconv's interface; it does not write there
    std::size_t left = bytes.size();
    std::array<char, 4096> buffer;
    while (left > 0) {
      char* to = buffer.data();
      std::size_t room = buffer.size();
      const std::size_t status = ::iconv(handle_, &in, &left, &to, &room);
      const int reason = errno;
      out.append(buffer.data(), buffer.size() - room);
      if (status == static_cast<std::size_t>(-1) && reason != E2BIG) break;
    }
    return bytes.size() - left;
  }

 private:
  iconv_t handle_;
};

[[noreturn]] void refuse_byte(std::string_view bytes, std::size_t at, const std::string& label,
                              const std::string& encoding, const std::string& remedy) {
  throw Error(kBadInput, "{}: byte {} (0x{:02x}) is not valid {}; save the file as UTF-8{}.", label, at + 1,
              static_cast<unsigned char>(bytes[at]), encoding, remedy.empty() ? "" : ", or " + remedy);
}

}  // namespace

void check_encoding(const std::string& encoding, const std::string& option) {
  const std::string name = iconv_name(encoding);
  if (name.empty() || !Converter(name).is_open())
    throw Error(kBadInput,
                "{} is '{}', an encoding that this system does not support; common ones are utf-8, utf-16, "
                "cp1252, cp932, gbk.",
                option, encoding);
}

std::string decode_text(std::string_view bytes, const std::string& label, const TextFileOptions& options) {
  std::string encoding = options.encoding.empty() ? "UTF-8" : iconv_name(options.encoding);
  std::size_t skipped = 0;
  for (const Mark& mark : kMarks) {
    if (!bytes.starts_with(mark.bytes)) continue;
    encoding = mark.encoding;
    skipped = mark.bytes.size();
    break;
  }
  const bool is_guess = skipped == 0 && options.encoding.empty();
  if (const auto zero = bytes.find('\0'); is_guess && zero != std::string_view::npos)
    throw Error(kBadInput,
                "{}: byte {} is zero, so this is not UTF-8 text, perhaps UTF-16 without a byte order mark; "
                "save the file as UTF-8{}.",
                label, zero + 1, options.remedy.empty() ? "" : ", or " + options.remedy);
  Converter converter(encoding);
  if (!converter.is_open())
    throw Error(kUnsupported, "{}: this system cannot read {} text; save the file as UTF-8.", label,
                encoding);
  std::string out;
  out.reserve(bytes.size());
  const std::size_t read = skipped + converter.run(bytes.substr(skipped), out);
  if (read < bytes.size()) refuse_byte(bytes, read, label, encoding, options.remedy);
  return out;
}

std::string read_text_file(const std::filesystem::path& path, const TextFileOptions& options) {
  return decode_text(read_file(path, options.max_bytes), path.string(), options);
}

}  // namespace lowrank
