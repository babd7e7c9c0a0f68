// Captions as files hold them: a text file beside each picture, or one file that lists pictures and captions.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "request/fault_list.h"
#include "request/training/lora_options.h"

namespace lowrank::training {

// The caption files beside a picture. Without `extension` PICTURE.txt, PICTURE.caption and both in capitals, with one
// only PICTURE and that. The first is its caption.
std::vector<std::filesystem::path> caption_files(const std::filesystem::path& picture,
                                                 const std::string& extension = {});
// Whether a file is named like one of them.
bool is_caption_name(const std::filesystem::path& file, const std::string& extension = {});

struct Caption {
  std::string text;       // the first line that holds any, trimmed
  bool has_more = false;  // other lines hold text too
  std::string lines;      // all that do, trimmed, with '\n' between them
};

// Of a text that is UTF-8.
Caption caption_of(std::string_view text);

// The picture's caption, as UTF-8; nullopt when there is none. Of a .json file the text of its `caption`. Throws Error
// naming the file: and the byte when it is not text in that encoding ("": UTF-8, unless a byte order mark tells another),
// or what it is instead of a file.
std::optional<Caption> read_caption(const std::filesystem::path& picture, const std::string& encoding = {},
                                    const std::string& extension = {});

// Hugging Face's name for a list of a folder's pictures and their captions.
inline constexpr const char* kCaptionListName = "metadata.jsonl";

// A picture and its caption in a list of them.
struct ListedPicture {
  std::filesystem::path picture;
  std::optional<std::string> caption;
};

// Lists in the forms
//   .jsonl  one object a line, with file_name (Hugging Face's imagefolder), image_path (kohya's) or image, and
//           text, caption or prompt
//   .json   one object, with the pictures' names as keys and objects with caption (kohya's) as values
// both with `tags` behind the caption, joined by the separator as kohya joins them; with wildcards behind each line of
// it. Names are relative to `folder`; one without an ending is that of the picture there. Faults name file and line.
std::vector<ListedPicture> read_caption_list(const std::filesystem::path& file,
                                             const std::filesystem::path& folder,
                                             const request::CaptionOptions& options,
                                             request::FaultList& faults);

}  // namespace lowrank::training
