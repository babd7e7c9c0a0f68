// NovelAI: the prompt in `Description`, the rest as JSON in `Comment`; in WebP all of these inside one JSON of EXIF's
// UserComment. A1111 reads them in the same way.
#include <fmt/format.h>

#include "base/text/text.h"
#include "prompt/generators/draft.h"
#include "prompt/generators/readers.h"

namespace lowrank::prompt {
namespace {

struct NovelAiTexts {
  std::string software, description, comment;
};

NovelAiTexts novelai_texts(const PictureTexts& picture) {
  const auto text = [&](const char* key) {
    const std::string* found = picture.find(key);
    return found == nullptr ? std::string() : *found;
  };
  if (text("Software") == "NovelAI") return {text("Software"), text("Description"), text("Comment")};
  const std::string* inside = picture.find("UserComment");
  const Json object = inside == nullptr ? Json() : json_object(*inside);
  std::string description = text_field(object, "Description");
  description.erase(0, description.find_first_not_of('\0'));
  return {text_field(object, "Software"), description, text_field(object, "Comment")};
}

void note_what_is_missing(const Json& object, Draft& draft) {
  const auto v4 = object.find("v4_prompt");
  if (v4 != object.end() && v4->is_object() && v4->contains("caption")) {
    const auto& caption = v4->at("caption");
    if (caption.is_object() && caption.contains("char_captions") && !caption.at("char_captions").empty())
      draft.note("the captions of individual characters are not part of the prompt here.");
  }
  if (draft.infotext().prompt.find_first_of("{}") != std::string::npos)
    draft.note("NovelAI weights words with braces, which are plain characters here.");
}

}  // namespace

PictureReading read_novelai(const PictureTexts& picture) {
  const NovelAiTexts texts = novelai_texts(picture);
  if (texts.software != "NovelAI") return std::nullopt;
  const Json object = json_object(texts.comment);
  if (!object.is_object()) return std::nullopt;
  Draft draft("NovelAI");
  draft.prompt(texts.description.empty() ? text_field(object, "prompt") : texts.description);
  draft.negative(text_field(object, "uc"));
  draft.entry("Steps", text_field(object, "steps"));
  const std::string sampler = text_field(object, "sampler"), schedule = text_field(object, "noise_schedule");
  draft.sampler(sampler.empty() ? "Euler a" : sampler, schedule == "native" ? "" : schedule);
  draft.entry("CFG scale", text_field(object, "scale"));
  draft.entry("Seed", text_field(object, "seed"));
  if (picture.width > 0 && picture.height > 0) {
    draft.size(fmt::format("{}", picture.width), fmt::format("{}", picture.height));
  } else {
    draft.size(text_field(object, "width"), text_field(object, "height"));
  }
  draft.entry("Clip skip", "2");
  draft.entry("ENSD", "31337");
  note_what_is_missing(object, draft);
  return std::move(draft).finish();
}

}  // namespace lowrank::prompt
