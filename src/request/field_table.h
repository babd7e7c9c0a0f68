// The one list of request fields: how A1111's API calls them, their flag on the command line, their label in
// a picture's metadata, their range, default and choices. CLI, server and infotext read it, so that a field
// added here exists everywhere. Pictures and masks are no text and so no rows: init_images, mask, latent_mask, firstpass_image.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "request/extras_request.h"
#include "request/form_traits.h"
#include "request/generation_request.h"
#include "request/pixel_size.h"

namespace lowrank::request {

// The kinds of members that a request has.
template <typename Request>
using MemberOf = std::variant<std::string Request::*, std::vector<std::string> Request::*, int Request::*,
                              std::int64_t Request::*, Decimal Request::*, std::optional<Decimal> Request::*,
                              bool Request::*>;

// Which kind of generation reads a field.
enum class ReadBy { kBoth, kTxt2img, kImg2img };

struct FieldTraits {
  // Of a text: the names that may stand there, for help, completion and the page. Files of models are not among them.
  std::span<const std::string_view> (*choices)() = nullptr;
  bool only_choices = false;  // nothing else makes sense
  char letter = 0;            // short option on the command line; 0: none
  ReadBy read_by = ReadBy::kBoth;
  bool is_checkpoint = false;     // the name of a checkpoint
  bool first_is_default = false;  // an empty text means the first of the choices
  FormTraits form = {};
};

template <typename Request>
struct FieldRowOf {
  std::string_view api;       // A1111's name in requests or override_settings; unique
  std::string_view flag;      // long option without dashes; unique
  std::string_view infotext;  // label in the metadata; "" when it is not written
  MemberOf<Request> member;
  double min, max;  // of numbers, inclusive; unused for others
  std::string_view help;
  // A1111's words for 0, 1 …, in the metadata and on the command line; empty: numbers, True and False.
  std::span<const std::string_view> words = {};
  FieldTraits traits = {};

  // On the command line: a flag without a value.
  bool is_switch() const { return words.empty() && std::holds_alternative<bool Request::*>(member); }
};
using FieldMember = MemberOf<GenerationRequest>;
using FieldRow = FieldRowOf<GenerationRequest>;
using ExtrasFieldRow = FieldRowOf<ExtrasRequest>;

std::span<const FieldRow> field_table();
std::span<const ExtrasFieldRow> extras_field_table();

// Rows by one of their names; nullptr when there is none.
const FieldRow* field_by_api(std::string_view name);
const FieldRow* field_by_flag(std::string_view name);
const FieldRow* field_by_infotext(std::string_view label);

// Sets a field from text: numbers in decimal, booleans as true/false/1/0, one of the row's words in any case;
// a list takes the text as one more item. Throws Error(kBadInput) naming `label` when the text is none of its
// type or the number is out of range.
template <typename Request>
void set_field(Request& request, const FieldRowOf<Request>& row, std::string_view text,
               std::string_view label);

// The field as the metadata writes it; nullopt for an absent optional.
template <typename Request>
std::optional<std::string> field_text(const Request& request, const FieldRowOf<Request>& row);

// "512x768", or "512" for both sides, in pixels. Throws Error(kBadInput) naming `label` for anything else and for sides
// that are not between 8 and the most that a request may ask for.
PixelSize parse_size(std::string_view text, std::string_view label);

}  // namespace lowrank::request
