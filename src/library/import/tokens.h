// Access tokens of the sites that models come from: from the environment, else from the file `tokens` in the
// user's configuration folder, which only its owner may read:
//
//   civitai = …          $CIVITAI_TOKEN, $CIVITAI_API_KEY
//   huggingface = …      $HF_TOKEN, $HUGGING_FACE_HUB_TOKEN
//
// A token is never printed, never written, and sent only to the site that it belongs to.
#pragma once

#include <string>

#include "library/import/url.h"

namespace lowrank::library {

enum class Site { kCivitai, kHuggingFace };

// "" when there is none. Throws Error(kBadInput) when others may read the file.
std::string token_for(Site site);

// Where a token may be put, for messages: "$HF_TOKEN or 'huggingface = …' in FILE (mode 600)".
std::string token_places(Site site);

// https://civitai.com or $LOWRANK_CIVITAI_URL; https://huggingface.co or $HF_ENDPOINT. Without a slash at the
// end.
std::string base_url(Site site);

// Whether an address is one of the site's own: its domain and those below, or the base URL that was set.
bool belongs_to(const Url& url, Site site);
// Whether it lies at a base URL that the user has set, which may be inside this network.
bool is_at_set_url(const Url& url);

}  // namespace lowrank::library
