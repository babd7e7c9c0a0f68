// JSON taken apart piece by piece where it lies, for a header of up to 100 MB that must be checked but not copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace lowrank::weights {

class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text)
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()) {}

  bool skip_blanks();  // true: there were some
  bool at_end() const { return at_ == end_; }
  std::size_t place() const { return static_cast<std::size_t>(at_ - begin_); }

  // The next sign behind blanks: takes it when it is `wanted`; or only looks.
  bool take(char wanted);
  bool comes(char wanted);
  // "a string", "a number", … of the value that comes next; "" for what begins none.
  std::string_view what_comes();

  // A text. It lies where it stood unless it has escapes; then in `unescaped`. False: it is not valid JSON in UTF-8.
  bool text(std::string_view& found, std::deque<std::string>& unescaped);
  // The same for a text that need not be sound: what is wrong with it is replaced, and `was_sound` becomes false. False
  // when it does not end.
  bool any_text(std::string& found, bool& was_sound);

  enum class Number { kWhole, kNegative, kOther, kNone };
  Number number(std::uint64_t& value);  // kNone: no number comes next, nothing is taken

  // Past any value, also NaN and infinities, which Python writes. False: there is none, or it is nested too deep.
  bool skip_value();

 private:
  bool bare_text(std::string_view& raw, bool& is_plain);
  bool skip_word();
  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace lowrank::weights
